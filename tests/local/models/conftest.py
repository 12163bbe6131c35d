"""The two pairs of local models and their results for the sample photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from local import models

ROOT = Path(__file__).parents[3]
CACHE = ROOT / "build" / "models"
PHOTOS = sorted((ROOT / "samples" / "photos").glob("*.jpg"))[:36]


@dataclass(frozen=True)
class PairResults:
    """A pair of models, with the features and labels of 36 sample photos."""

    student: Any
    teacher: Any
    images: list[Image.Image]
    features: np.ndarray
    labels: list[list[str]]


@pytest.fixture(scope="package", params=["efficientnet", "pixels"])
def pair(request: pytest.FixtureRequest) -> PairResults:
    student = models.load_student(f"local.student-{request.param}-v1:0", CACHE)
    teacher = models.load_teacher(f"local.teacher-{request.param}-v1:0")
    images = [Image.open(path).convert("RGB") for path in PHOTOS]
    features = np.stack([student.features(image) for image in images])
    return PairResults(student, teacher, images, features, [teacher.look(image).keywords for image in images])


def jaccard(first: list[str], second: list[str]) -> float:
    """Return the Jaccard index of two keyword lists."""
    return len({*first} & {*second}) / len({*first} | {*second})
