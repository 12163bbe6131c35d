"""Sweep a stage: delete the Bedrock resources that no run retains, such as those of a run whose CleanUp failed.

Whether a run retains a resource is known only to the Data bucket that has the run. A resource is *unknown* if its tag
names another Data bucket or none, or if its run has no ``request.json``, for example after the stacks were destroyed
and deployed again with a new bucket. Sweep reports unknown deployments and models, and never deletes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from distillation import keys
from distillation.events import SweepResult
from distillation.run_documents import find_run
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
        """Stop the jobs and delete the deployments and models that no run retains.

        Unknown jobs are stopped too. Unknown deployments and models stay, because a caller may use them.
        Raises ``ResourceBusy`` if Bedrock takes longer than four minutes; the next sweep continues.
        """
        jobs, resources = self.resources()
        stopped = stop([*self.leftovers(jobs), *unknown(jobs, self.data)], self.bedrock, self.sleep)
        if stopped:
            _, resources = self.resources()  # A job that ended just before it was stopped has created a model.
        leftovers, unknown_resources = self.leftovers(resources), unknown(resources, self.data)
        deleted = delete(leftovers, self.bedrock, self.sleep)
        kept = [resource for resource in resources if resource not in [*leftovers, *unknown_resources]]
        ages = [(self.now - resource.created).days for resource in kept if resource.kind == "deployment"]
        return SweepResult(
            stopped=stopped,
            deleted=deleted,
            kept=[str(resource) for resource in kept],
            unknown=[str(resource) for resource in unknown_resources],
            oldest_deployment_days=max(ages, default=0),
        )

    def resources(self) -> tuple[list[BedrockResource], list[BedrockResource]]:
        """Return the stage's running jobs, and its deployments and models."""
        tag = (STAGE_TAG, self.stage)
        return running_jobs(tag, "", self.bedrock), deployments_and_models(tag, "", self.bedrock)

    def leftovers(self, resources: Sequence[BedrockResource]) -> list[BedrockResource]:
        """Return the resources of known runs that no run retains, in the same order."""
        own = [resource for resource in resources if resource.data_bucket == self.data.name]
        retained_by_run = {run: self._retained_by(run) for run in {resource.run for resource in own}}

        def is_leftover(resource: BedrockResource) -> bool:
            retained_keys = retained_by_run[resource.run]
            return retained_keys is not None and resource.key not in retained_keys

        return [resource for resource in own if is_leftover(resource)]

    def _retained_by(self, name: str) -> set[tuple[Kind, str]] | None:
        """Return kind and name of what a run retains; None if it is unknown, still running or cannot be read."""
        try:
            run = find_run(name, self.data)
            return None if run is None or self.is_running(run.execution) else retained(run, self.data, self.now)
        except ValueError as error:  # Also pydantic's ValidationError.
            logger.warning("run left alone: its request or report cannot be read", run=name, error=str(error))
            return None


def unknown(resources: Sequence[BedrockResource], data: Bucket) -> list[BedrockResource]:
    """Return the resources that belong to no run in the Data bucket, in the same order."""
    runs = {resource.run for resource in resources if resource.data_bucket == data.name}
    known = {run for run in runs if keys.request_key(run) in data.keys(keys.request_key(run))}
    return [resource for resource in resources if resource.data_bucket != data.name or resource.run not in known]


def is_running(client: SFNClient, execution: str) -> bool:
    """Return whether an execution is running."""
    try:
        return client.describe_execution(executionArn=execution)["status"] == "RUNNING"
    except client.exceptions.ExecutionDoesNotExist:
        return False  # Step Functions deletes executions 90 days after their end.
