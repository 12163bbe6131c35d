"""Small real models for the local Bedrock endpoint, named for what they are and never presented as Nova."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.models.weights import WEIGHT_FILES, WeightsMissing


@dataclass(frozen=True)
class ModelPair:
    """Model ids of a teacher and a student."""

    teacher_id: str
    student_id: str
    reason: str | None = None
    """Reason why this is the pixels-only pair, or None."""


NETWORKS = ModelPair("local.teacher-efficientnet-v1:0", "local.student-efficientnet-v1:0")


def available_pair(cache: Path) -> ModelPair:
    """Return the pair with networks, or the pixels-only pair if a model file is missing or differs."""
    try:
        for file in WEIGHT_FILES:
            file.locate()
        load_student(NETWORKS.student_id, cache)
        load_teacher(NETWORKS.teacher_id)
    except (WeightsMissing, ImportError) as error:
        return ModelPair("local.teacher-pixels-v1:0", "local.student-pixels-v1:0", str(error))
    return NETWORKS


def load_teacher(id: str) -> Any:
    """Return a teacher, with ``recognise(image)``."""
    if id == NETWORKS.teacher_id:
        from local.models.teacher import Teacher

        return Teacher()
    from local.models.pixels import PixelTeacher

    return PixelTeacher()


def load_student(id: str, cache: Path) -> Any:
    """Return a student, with ``features(image)`` and ``recognise(features)``; ``cache`` has its converted network."""
    if id == NETWORKS.student_id:
        from local.models.network import load_network
        from local.models.student import Student

        return Student(load_network(cache))
    from local.models.pixels import PixelStudent

    return PixelStudent()
