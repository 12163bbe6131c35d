"""Size of the dataset and hyperparameters of a customization job."""

from __future__ import annotations

from distillation.models import catalog
from distillation.records import Request, Run

REPEAT_BELOW_IMAGES = 1_000
"""Number of images below which the Nova guide recommends repeating each record, for more effective epochs."""


def repeats_per_image(request: Request, images: int) -> int:
    """Return how many times each of ``images`` training images is repeated in the dataset."""
    return request.duplicate_records if images < REPEAT_BELOW_IMAGES else 1


def record_count(request: Request, images: int) -> int:
    """Return the number of records in the dataset of ``images`` training images, repeats included."""
    return images * repeats_per_image(request, images)


def job_hyperparameters(run: Run, images: int) -> dict[str, str]:
    """Return the hyperparameters of the job on ``images`` training images. Raises ``InvalidRequest``."""
    student, request = catalog.get_model(run.student), run.request
    return student.resolve_hyperparameters(request.hyperparameters, record_count(request, images))
