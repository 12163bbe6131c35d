"""Small real models for the local Bedrock endpoint, named for what they are and never presented as Nova."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.models.weights import WEIGHT_FILES, WeightsMissing


@dataclass(frozen=True)
class ModelPair:
    """Who answers as teacher and as student; ``reason`` says why it is the pixels-only pair."""

    teacher_id: str
    student_id: str
    reason: str | None = None


NETWORKS = ModelPair("local.teacher-efficientnet-v1:0", "local.student-efficientnet-v1:0")


def available_pair(cache: Path) -> ModelPair:
    """Return the pair with networks, or, where a file is missing or another one, the pixels-only pair."""
    try:
        for file in WEIGHT_FILES:
            file.locate()
        load_student(NETWORKS.student_id, cache)
        load_teacher(NETWORKS.teacher_id, cache)
    except (WeightsMissing, ImportError) as error:
        return ModelPair("local.teacher-pixels-v1:0", "local.student-pixels-v1:0", str(error))
    return NETWORKS


def load_teacher(id: str, cache: Path) -> Any:
    """Return a teacher: ``keywords(image)`` and ``sampled_keywords(image, temperature, seed)``."""
    if id == NETWORKS.teacher_id:
        from local.models.teacher import Teacher

        return Teacher()
    from local.models.pixels import PixelTeacher

    return PixelTeacher()


def load_student(id: str, cache: Path) -> Any:
    """Return a student: ``features``, ``base_keywords`` and ``train``; ``cache`` keeps its network."""
    if id == NETWORKS.student_id:
        from local.models.network import load_network
        from local.models.student import Student

        return Student(load_network(cache))
    from local.models.pixels import PixelStudent

    return PixelStudent()
