"""Stop the jobs of a run and delete the deployments and models that no run keeps.

Cleanup relies on ``request.json``, the report, tags and the state of other runs' executions only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from distillation.aws_errors import pipeline_errors
from distillation.events import CleanUpResult
from distillation.records import Run
from distillation.serving.resources import delete, deployments_and_models, running_jobs, stop
from distillation.serving.retention import Retention
from distillation.serving.tags import RUN_TAG

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def clean_up(
    run: Run, retention: Retention, bedrock: BedrockClient, sleep: Callable[[float], None] = time.sleep
) -> CleanUpResult:
    """Stop the run's jobs and delete what no run keeps; return what was stopped, deleted and kept.

    A model of another run that this run reused is left to Sweep. Raises ``ResourceBusy`` if Bedrock takes longer than
    four minutes; the next attempt continues.
    """
    tag = (RUN_TAG, run.name)
    with pipeline_errors(f"resources of run {run.name}"):
        stopped = stop(running_jobs(tag, run.name, bedrock), bedrock, sleep)
        resources = deployments_and_models(tag, run.name, bedrock)
        unwanted = [resource for resource in resources if not retention.keeps(resource)]
        deleted = delete(unwanted, bedrock, sleep, retention.keeps)
    kept = [str(resource) for resource in resources if str(resource) not in deleted]
    return CleanUpResult(stopped=stopped, deleted=deleted, kept=kept)
