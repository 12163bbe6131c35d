"""Sweep a stage: delete the Bedrock resources that no run retains, such as those of a run whose CleanUp failed.

Only the Data bucket of a run shows whether the run retains a resource. A resource is *unknown* if its tag names another
Data bucket or none, or if its run has no ``request.json``. This happens if the stacks were destroyed and deployed again
with a new bucket. Sweep reports unknown deployments and models, and never deletes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from distillation import keys
from distillation.events import SweepResult
from distillation.serving.execution_state import ExecutionState
from distillation.serving.resources import (
    BedrockResource,
    Problems,
    delete,
    deployments_and_models,
    running_jobs,
    stop,
)
from distillation.serving.retention import Retention
from distillation.serving.tags import STAGE_TAG
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


@dataclass(frozen=True)
class Sweeper:
    """One sweep of a stage."""

    stage: str
    """Name of the stage."""
    data: Bucket
    """Data bucket of the stage."""
    bedrock: BedrockClient
    execution_state: Callable[[str], ExecutionState]
    """State of the execution with an ARN; resources of a running one are left alone."""
    now: datetime
    """Time of the sweep."""
    sleep: Callable[[float], None] = time.sleep
    retention: Retention = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "retention", Retention(self.data, self.execution_state, self.now))

    def sweep(self) -> SweepResult:
        """Stop the jobs and delete the deployments and models that no run retains.

        Unknown jobs are stopped too. Unknown deployments and models stay, because a caller may use them. ``problems``
        of the result has the runs that cannot be read and the resources that cannot be stopped or deleted; the sweep
        continues with the others. Raises ``ServiceUnavailable`` or ``Throttled`` if S3 or Bedrock is unavailable.
        """
        problems = Problems()
        jobs, resources = self.resources(problems)
        unwanted_jobs = [*self.leftovers(jobs), *unknown(jobs, self.data)]
        stopped = stop(unwanted_jobs, self.bedrock, self.sleep, problems)
        if stopped:
            # A job that ended just before it was stopped has created a model.
            _, resources = self.resources(Problems())
        leftovers, unknown_resources = self.leftovers(resources), unknown(resources, self.data)
        deleted = delete(leftovers, self.bedrock, self.sleep, self.retention.keeps, problems)
        kept = [item for item in resources if str(item) not in deleted and item not in unknown_resources]
        ages = [(self.now - resource.created).days for resource in kept if resource.kind == "deployment"]
        return SweepResult(
            stopped=stopped,
            deleted=deleted,
            kept=[str(resource) for resource in kept],
            unknown=[str(resource) for resource in unknown_resources],
            oldest_deployment_days=max(ages, default=0),
            problems=[*self.retention.unreadable.values(), *map(str, problems.errors)],
        )

    def resources(self, problems: Problems | None = None) -> tuple[list[BedrockResource], list[BedrockResource]]:
        """Return the stage's running jobs, and its deployments and models; for ``problems`` see ``running_jobs``."""
        tag = (STAGE_TAG, self.stage)
        jobs = running_jobs(tag, "", self.bedrock, problems)
        return jobs, deployments_and_models(tag, "", self.bedrock, problems)

    def leftovers(self, resources: Sequence[BedrockResource]) -> list[BedrockResource]:
        """Return the resources of known runs that no run keeps, in the same order.

        A model stays while a deployment that stays serves it, such as one that an aborted run had begun to update.
        """
        other = unknown(resources, self.data)
        unwanted = [item for item in resources if item not in other and not self.retention.keeps(item)]
        served = {item.model_arn for item in resources if item.kind == "deployment" and item not in unwanted}
        return [item for item in unwanted if item.arn not in served]


def unknown(resources: Sequence[BedrockResource], data: Bucket) -> list[BedrockResource]:
    """Return the resources that belong to no run in the Data bucket, in the same order."""
    runs = {run for resource in resources if resource.data_bucket == data.name for run in resource.runs}
    known = {run for run in runs if keys.request_key(run) in data.keys(keys.request_key(run))}
    return [item for item in resources if item.data_bucket != data.name or known.isdisjoint(item.runs)]
