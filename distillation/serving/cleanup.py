"""Take down what a run left at Bedrock and is not to be kept.

Works from ``request.json``, the report and tags, never from the state of an execution.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from distillation.bedrock_errors import pipeline_errors
from distillation.records import Run
from distillation.serving.resources import deployments_and_models, remove, running_jobs, stop
from distillation.serving.retention import retained
from distillation.serving.tags import RUN_TAG
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def clean_up(
    run: Run, data: Bucket, bedrock: BedrockClient, now: datetime, pause: Callable[[float], None] = time.sleep
) -> dict[str, list[str]]:
    """Stop the run's jobs, delete what is not kept; return what was stopped, deleted and kept.

    Raises ``ResourceBusy`` when Bedrock takes longer than four minutes; trying again goes on.
    """
    with pipeline_errors(f"what run {run.name} left"):
        return _clean_up(run, data, bedrock, now, pause)


def _clean_up(
    run: Run, data: Bucket, bedrock: BedrockClient, now: datetime, pause: Callable[[float], None]
) -> dict[str, list[str]]:
    tag = (RUN_TAG, run.name)
    stopped = stop(running_jobs(tag, run.name, bedrock), bedrock, pause)
    stays = retained(run, data, now)
    held = deployments_and_models(tag, run.name, bedrock)
    deleted = remove([holding for holding in held if holding.key not in stays], bedrock, pause)
    return {"stopped": stopped, "deleted": deleted, "kept": [str(h) for h in held if h.key in stays]}
