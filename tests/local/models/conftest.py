"""The two pairs of local models and their results for the sample photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from local import models
from local.models.answer_forms import Recognition
from tests.support.xdist_groups import mark_groups

ROOT = Path(__file__).parents[3]
CACHE = ROOT / "build" / "models"
PHOTOS = sorted((ROOT / "samples" / "photos").glob("*.jpg"))[:36]


@dataclass(frozen=True)
class PairResults:
    """A pair of models, and for 36 sample photos the features, what the teacher recognises, and its labels."""

    student: Any
    teacher: Any
    images: list[Image.Image]
    features: np.ndarray
    recognitions: list[Recognition]
    labels: list[list[str]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of the pairs in one process of pytest-xdist: a pair takes 10 s to label the photos."""
    mark_groups(items, Path(__file__).parent, lambda _: "models", {"pair"})


@pytest.fixture(scope="package", params=["efficientnet", "pixels"])
def pair(request: pytest.FixtureRequest) -> PairResults:
    student = models.load_student(f"local.student-{request.param}-v1:0", CACHE)
    teacher = models.load_teacher(f"local.teacher-{request.param}-v1:0")
    images = [Image.open(path).convert("RGB") for path in PHOTOS]
    features = np.stack([student.features(image) for image in images])
    recognitions = [teacher.recognise(image) for image in images]
    labels = [recognition.keywords for recognition in recognitions]
    return PairResults(student, teacher, images, features, recognitions, labels)


def jaccard(first: list[str], second: list[str]) -> float:
    """Return the Jaccard index of two keyword lists."""
    return len({*first} & {*second}) / len({*first} | {*second})
