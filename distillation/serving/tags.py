"""The tags on all that costs money at Bedrock; CleanUp touches nothing without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdas.runtime import setting

if TYPE_CHECKING:
    from mypy_boto3_bedrock.type_defs import TagTypeDef

RUN_TAG = "vision-distillation:run"
STAGE_TAG = "vision-distillation:stage"


def tags(run: str) -> list[TagTypeDef]:
    """Return the tags of a run's jobs, models and deployments."""
    return [{"key": RUN_TAG, "value": run}, {"key": STAGE_TAG, "value": setting("STAGE")}]
