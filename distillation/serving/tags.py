"""Tags of every job, model and deployment; nothing without them is ever stopped or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillation.records import Run

if TYPE_CHECKING:
    from mypy_boto3_bedrock.type_defs import TagTypeDef

RUN_TAG = "vision-distillation:run"
STAGE_TAG = "vision-distillation:stage"


def resource_tags(run: Run) -> list[TagTypeDef]:
    """Return the tags of a run's jobs, models and deployments."""
    return [{"key": RUN_TAG, "value": run.name}, {"key": STAGE_TAG, "value": run.stage}]
