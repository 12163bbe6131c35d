"""Runs of ``python -m benchmarks.formats`` on generated photos."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.formats import PROMPTS, RecognisedPhoto, format_figures
from local.models.answer_forms import Recognition, confidences_of
from local.models.student import CLASSES

FEATURES = 2548
KINDS = ("person", "animal", "food", "plant", "vehicle")


def recognition(kind: str, colour: str) -> Recognition:
    """Return what a model sees in a photo of a kind."""
    words = [kind, colour, f"{kind} {colour}", *(f"{kind} part {number}" for number in range(12))]
    return Recognition(
        keywords=words,
        confidences=confidences_of([(kind, 0.9), ("outdoor" if kind == "plant" else "plain background", 0.8)]),
        subject=kind,
        counts={"people": 2 if kind == "person" else 0},
        threshold=0.0,
        sentence=(f"One {kind} {colour} {kind} with {kind} {kind}", f"and {colour} {kind} {colour}"),
        paragraph=(),
    )


@pytest.fixture(scope="module")
def photos() -> list[RecognisedPhoto]:
    """Return photos of five kinds, which the features show; base sees the same kind in all of them."""
    generator = np.random.default_rng(1)
    photos = []
    for number in range(80):
        kind = number % len(KINDS)
        features = generator.normal(0, 0.1, FEATURES).astype(np.float32)
        features[CLASSES + kind * 50 : CLASSES + kind * 50 + 50] += 3
        teacher = recognition(KINDS[kind], ("red", "blue")[kind % 2])
        photos.append(RecognisedPhoto(str(number), teacher, teacher, recognition("object", "green"), features))
    return photos


@pytest.mark.parametrize("name", list(PROMPTS))
def test_student_gains_over_base_and_control_in_each_format_and_only_from_right_labels(
    photos: list[RecognisedPhoto], name: str
) -> None:
    result = format_figures(name, photos, maximum_train=60, seed=1)

    assert result["meets_bar"]
    assert result["tuned"] > result["control"]
    assert not result["promoted_when_shuffled"]
    assert result["valid"] == 1
