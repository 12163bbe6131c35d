"""Runs of ``python -m benchmarks.gate`` on generated photos."""

from __future__ import annotations

import random

import numpy as np
import pytest

from benchmarks.gate import Photo, planted_run, shuffled_run
from local.models.student import CLASSES

FEATURES = 2548


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    """Return photos of five kinds, which label and features name; base answers nothing that the teacher does."""
    generator = np.random.default_rng(1)
    photos = []
    for number in range(45):
        kind = number % 5
        features = generator.normal(0, 0.1, FEATURES).astype(np.float32)
        features[CLASSES + kind * 50 : CLASSES + kind * 50 + 50] += 3
        label = ["photo", "indoors", *(f"kind {kind} part {part}" for part in range(12))]
        photos.append(Photo(str(number), label, label, [f"other {part}" for part in range(14)], features))
    return photos


def test_planted_gain_is_promoted(photos: list[Photo]) -> None:
    gate = planted_run(random.Random(1), photos).figures.gate

    assert gate is not None
    assert gate.passed


def test_model_trained_on_shuffled_labels_is_not_promoted(photos: list[Photo]) -> None:
    gate = shuffled_run(random.Random(1), photos).figures.gate

    assert gate is not None
    assert not gate.passed
