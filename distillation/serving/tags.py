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
"""Key of the tag with the Data bucket that has the run, which tells deployments of the same stage apart."""


def resource_tags(run: Run, data: Bucket) -> list[TagTypeDef]:
    """Return the tags of a run's jobs, models and deployments: the pipeline's own and those of the stage."""
    tags = {RUN_TAG: run.name, STAGE_TAG: run.stage, BUCKET_TAG: data.name, **run.tags}
    return [{"key": key, "value": value} for key, value in tags.items()]
