"""Tags of every job, model and deployment; nothing without them is ever stopped or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillation.records import Run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock.type_defs import TagTypeDef

RUN_TAG = "vision-distillation:run"
STAGE_TAG = "vision-distillation:stage"
BUCKET_TAG = "vision-distillation:data-bucket"
"""Key of the tag with the Data bucket of the run. It distinguishes two deployments of the same stage."""
TRAINING_TAG = "vision-distillation:training"
"""Key of the tag with the fingerprint of a training; see ``distillation.training.reuse``."""
USED_BY_PREFIX = "vision-distillation:used-by:"
"""Start of the keys of the tags of later runs that use a model, followed by the run's name; the value is its start."""
DELETING_TAG = "vision-distillation:deleting"
"""Key of the tag with the time at which the deletion of a model began, ISO 8601 in UTC."""


def resource_tags(run: Run, data: Bucket, training: str | None = None) -> list[TagTypeDef]:
    """Return the tags of a run's jobs, models and deployments: the pipeline's own and those of the stage.

    ``training`` is the fingerprint of a job and its model.
    """
    tags = {RUN_TAG: run.name, STAGE_TAG: run.stage, BUCKET_TAG: data.name, **run.tags}
    if training:
        tags[TRAINING_TAG] = training
    return [{"key": key, "value": value} for key, value in tags.items()]
