"""What the job of one training size is made of."""

from __future__ import annotations

from distillation.models import catalog
from distillation.records import Request, Run

FEW_IMAGES = 1_000
"""Below so many the Nova guide advises to write records more than once, for more effective epochs."""


def copies(request: Request, images: int) -> int:
    """Return how often each of so many images stands in the dataset."""
    return request.duplicate_records if images < FEW_IMAGES else 1


def records(request: Request, images: int) -> int:
    """Return how many records the dataset of so many images has, as Bedrock counts them."""
    return images * copies(request, images)


def hyperparameters(run: Run, images: int) -> dict[str, str]:
    """Return the hyperparameters of the job on so many images; raises ``InvalidRequest``."""
    return catalog.get_model(run.student).hyperparameters(run.request.hyperparameters, records(run.request, images))
