"""Agreement of answers with labels in any answer format, and the reference values that scores are compared with.

Ceiling: the teacher's agreement with itself. Floor: agreement of answers with labels of other images. Control:
agreement of the best constant answer, learnt from the training labels. Nearest: agreement of the label of the training
image that looks most similar.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping

import numpy as np

from distillation.answers.formats.base import Format, NotInFormat, Value
from distillation.records import AnswerLine

SEED = 20_250_701
SHUFFLES = 20
"""Labels of other images that the floor compares each answer with, at most."""
AGREEMENT = "agreement"
"""Measure of every format: the similarity of an answer and the label, 0-1."""
VALID = "valid"
"""Measure of every format: 1 for a valid answer, else 0."""


def value_of(answer_format: Format, line: AnswerLine | None) -> Value | None:
    """Return the value of an answer; None for one that is missing or not valid."""
    if line is None or line.status != "ok":
        return None
    try:
        return answer_format.parse(line.text or "")
    except NotInFormat:
        return None


def label_values(answer_format: Format, lines: Mapping[str, AnswerLine]) -> dict[str, Value]:
    """Return the values of labels by image, without those that are not valid."""
    values = {image: value_of(answer_format, line) for image, line in lines.items()}
    return {image: value for image, value in values.items() if value is not None}


def measure(
    answer_format: Format, answers: Mapping[str, AnswerLine], labels: Mapping[str, Value]
) -> dict[str, list[float]]:
    """Return the values of each measure, one for each labelled image; a missing or invalid answer has agreement 0.

    Answers are parsed one at a time to save memory: a run may have 20,000.
    """
    columns: dict[str, list[float]] = {}
    for image, label in labels.items():
        answer = value_of(answer_format, answers.get(image))
        similarity = 0.0 if answer is None else answer_format.similarity(answer, label)
        values = {AGREEMENT: similarity, VALID: float(answer is not None), **answer_format.measures(answer, label)}
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    return columns


def agreement(answer_format: Format, answers: Mapping[str, AnswerLine], labels: Mapping[str, Value]) -> list[float]:
    """Return the similarity of answer and label for each labelled image; a missing or invalid answer scores 0."""
    values = ((value_of(answer_format, answers.get(image)), label) for image, label in labels.items())
    return [0.0 if answer is None else answer_format.similarity(answer, label) for answer, label in values]


def floor(
    answer_format: Format,
    answers: Mapping[str, AnswerLine],
    labels: Mapping[str, Value],
    groups: Mapping[str, str],
) -> list[float]:
    """Return each answer's mean similarity to at most ``SHUFFLES`` labels of other images.

    The other images come from cyclic shifts of one order with a fixed seed; near-duplicates are left out.
    """
    images = sorted(labels)
    random.Random(SEED).shuffle(images)
    shifts = range(1, min(len(images) - 1, SHUFFLES) + 1)
    floors = dict.fromkeys(images, 0.0)
    for position, image in enumerate(images):
        answer = value_of(answer_format, answers.get(image))
        if answer is None:
            continue
        others = (images[(position + shift) % len(images)] for shift in shifts)
        values = [answer_format.similarity(answer, labels[other]) for other in others if groups[other] != groups[image]]
        floors[image] = statistics.fmean(values) if values else 0.0
    return [floors[image] for image in labels]


def nearest(
    answer_format: Format, labels: Mapping[str, Value], training: Mapping[str, Value], hashes: Mapping[str, str]
) -> list[float] | None:
    """Return the similarity of each label to that of the training image with the most similar perceptual hash.

    ``hashes`` has hashes by image, in hexadecimal. A blank image has none and counts as a hash of zeros. None if there
    are no hashes or no training labels.
    """
    if not hashes or not training:
        return None
    of_training, of_labels = (
        np.array([int(hashes.get(image, "0"), 16) for image in images], np.uint64) for images in (training, labels)
    )
    copies = list(training.values())
    copied = [copies[int(np.bitwise_count(of_training ^ query).argmin())] for query in of_labels]
    return [answer_format.similarity(copy, label) for copy, label in zip(copied, labels.values(), strict=True)]
