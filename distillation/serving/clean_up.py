"""Stop the jobs of a run and delete the deployments and models that it does not retain.

Cleanup relies on ``request.json``, the report and tags only, never on the state of an execution.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from distillation.bedrock_errors import pipeline_errors
from distillation.events import CleanUpResult
from distillation.records import Run
from distillation.serving.resources import delete, deployments_and_models, running_jobs, stop
from distillation.serving.retention import retained
from distillation.serving.tags import RUN_TAG
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def clean_up(
    run: Run, data: Bucket, bedrock: BedrockClient, now: datetime, sleep: Callable[[float], None] = time.sleep
) -> CleanUpResult:
    """Stop the run's jobs and delete what is not retained; return what was stopped, deleted and kept.

    Raises ``ResourceBusy`` if Bedrock takes longer than four minutes; the next attempt continues.
    """
    tag = (RUN_TAG, run.name)
    with pipeline_errors(f"resources of run {run.name}"):
        stopped = stop(running_jobs(tag, run.name, bedrock), bedrock, sleep)
        retained_keys = retained(run, data, now)
        resources = deployments_and_models(tag, run.name, bedrock)
        deleted = delete([resource for resource in resources if resource.key not in retained_keys], bedrock, sleep)
    kept = [str(resource) for resource in resources if resource.key in retained_keys]
    return CleanUpResult(stopped=stopped, deleted=deleted, kept=kept)
