"""Sweep a stage: delete the Bedrock resources that no run retains, such as those of a run whose CleanUp failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from distillation import keys
from distillation.events import SweepResult
from distillation.records import Run
from distillation.serving.resources import BedrockResource, Kind, delete, deployments_and_models, running_jobs, stop
from distillation.serving.retention import retained
from distillation.serving.tags import STAGE_TAG
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class Sweeper:
    """One sweep of a stage."""

    stage: str
    """Name of the stage."""
    data: Bucket
    """Data bucket of the stage."""
    bedrock: BedrockClient
    is_running: Callable[[str], bool]
    """Whether the execution with an ARN is running; its resources are left alone."""
    now: datetime
    """Time of the sweep."""
    sleep: Callable[[float], None] = time.sleep

    def sweep(self) -> SweepResult:
        """Stop and delete the resources that no run retains.

        Raises ``ResourceBusy`` if Bedrock takes longer than four minutes; the next sweep continues.
        """
        jobs, resources = self.resources()
        stopped = stop(self.leftovers(jobs), self.bedrock, self.sleep)
        if stopped:
            _, resources = self.resources()  # A job that ended just before it was stopped has created a model.
        leftovers = self.leftovers(resources)
        deleted = delete(leftovers, self.bedrock, self.sleep)
        kept = [resource for resource in resources if resource not in leftovers]
        ages = [(self.now - resource.created).days for resource in kept if resource.kind == "deployment"]
        return SweepResult(
            stopped=stopped,
            deleted=deleted,
            kept=[str(resource) for resource in kept],
            oldest_deployment_days=max(ages, default=0),
        )

    def resources(self) -> tuple[list[BedrockResource], list[BedrockResource]]:
        """Return the stage's running jobs, and its deployments and models."""
        tag = (STAGE_TAG, self.stage)
        return running_jobs(tag, "", self.bedrock), deployments_and_models(tag, "", self.bedrock)

    def leftovers(self, resources: Sequence[BedrockResource]) -> list[BedrockResource]:
        """Return the resources that no run retains, in the same order."""
        retained_by_run = {run: self._retained_by(run) for run in {resource.run for resource in resources}}

        def is_leftover(resource: BedrockResource) -> bool:
            retained_keys = retained_by_run[resource.run]
            return retained_keys is not None and resource.key not in retained_keys

        return [resource for resource in resources if is_leftover(resource)]

    def _retained_by(self, name: str) -> set[tuple[Kind, str]] | None:
        """Return kind and name of what a run retains; None if the run is still running or cannot be read."""
        body = self.data.get_or_none(keys.request_key(name))
        if body is None:
            return set()
        try:
            run = Run.model_validate_json(body)
            return None if self.is_running(run.execution) else retained(run, self.data, self.now)
        except ValidationError as error:
            logger.warning("run left alone: its request or report cannot be read", run=name, error=str(error))
            return None


def is_running(client: SFNClient, execution: str) -> bool:
    """Return whether an execution is running."""
    try:
        return client.describe_execution(executionArn=execution)["status"] == "RUNNING"
    except client.exceptions.ExecutionDoesNotExist:
        return False  # Step Functions deletes executions 90 days after their end.
