"""A model that learned from labels of other images is not promoted, in any answer format."""

from __future__ import annotations

import random

import pytest

from distillation.answers.formats import FORMATS
from distillation.documents import EvaluationFigures
from distillation.evaluation.evaluation import AnswersByImage, Evidence, evaluate
from tests.distillation.evaluation.answers import answer
from tests.support.formats import EXAMPLES, LABELS

IMAGES = 160
"""Training images, and as many test images. Two thirds of them are of the first kind."""


def kinds(seed: int) -> list[int]:
    """Return the kind of each image, which a model can see."""
    return random.Random(seed).choices(range(4), weights=[6, 1, 1, 1], k=IMAGES)


def labels_of(name: str, shown: list[int], seed: int) -> list[str]:
    """Return the teacher's label of each image; one in ten is that of another kind."""
    chance = random.Random(seed)
    return [LABELS[name][chance.randrange(4) if chance.random() < 0.1 else kind] for kind in shown]


def lines(texts: list[str], prefix: str) -> AnswersByImage:
    images = [f"{prefix}{number}" for number in range(len(texts))]
    return {image: answer(text, image=image) for image, text in zip(images, texts, strict=True)}


def figures(name: str, *, shuffled: bool) -> EvaluationFigures:
    """Return the figures of a student that copies the label of a training image of the same kind.

    If ``shuffled``, each training image has the label of another one.
    """
    chance = random.Random(7)
    train, test = kinds(1), kinds(2)
    training, labels = labels_of(name, train, 3), labels_of(name, test, 4)
    if shuffled:
        chance.shuffle(training)
    by_kind = {kind: [text for text, shown in zip(training, train, strict=True) if shown == kind] for kind in range(4)}
    return evaluate(
        Evidence(
            answer_format=EXAMPLES[name],
            labels=lines(labels, "test"),
            tuned={"n160": lines([chance.choice(by_kind[kind]) for kind in test], "test")},
            base=lines([LABELS[name][3]] * IMAGES, "test"),
            ceiling=lines(labels_of(name, test, 5), "test"),
            training=lines(training, "train"),
        )
    ).figures


@pytest.mark.parametrize("name", FORMATS)
def test_model_trained_on_labels_of_its_images_is_promoted(name: str) -> None:
    gate = figures(name, shuffled=False).gate

    assert gate is not None
    assert gate.passed, gate.reasons


@pytest.mark.parametrize("name", FORMATS)
def test_model_trained_on_shuffled_labels_is_better_than_base_and_not_promoted(name: str) -> None:
    gate = figures(name, shuffled=True).gate

    assert gate is not None
    # It learned which labels are common, and nothing about the images.
    assert gate.gain.low > 0
    assert not gate.passed
    assert gate.reasons == [f"it is not significantly better than always answering with {EXAMPLES[name].control_name}"]
