"""Go over all that a stage holds at Bedrock and take down what no run keeps: the net under CleanUp."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from distillation import keys
from distillation.records import Run
from distillation.serving.resources import BedrockResource, Kind, deployments_and_models, remove, running_jobs, stop
from distillation.serving.retention import retained
from distillation.serving.tags import STAGE_TAG
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class Sweeper:
    """``goes_on`` tells of an execution's ARN whether it still runs: what it holds is its own affair."""

    stage: str
    data: Bucket
    bedrock: BedrockClient
    is_running: Callable[[str], bool]
    now: datetime
    pause: Callable[[float], None] = time.sleep

    def sweep(self) -> dict[str, Any]:
        """Stop and delete what no run keeps; return what was stopped and deleted, what is kept, and its age in days.

        Raises ``ResourceBusy`` when Bedrock takes longer than four minutes; trying again goes on.
        """
        jobs, held = self.resources()
        stopped = stop(self.leftovers(jobs), self.bedrock, self.pause)
        if stopped:
            _, held = self.resources()  # A job that had just ended has left a model.
        leftovers = self.leftovers(held)
        deleted = remove(leftovers, self.bedrock, self.pause)
        stays = [holding for holding in held if holding not in leftovers]
        ages = [(self.now - one.created).days for one in stays if one.kind == "deployment"]
        return {
            "stopped": stopped,
            "deleted": deleted,
            "kept": [str(holding) for holding in stays],
            "oldest_deployment_days": max(ages, default=0),
        }

    def resources(self) -> tuple[list[BedrockResource], list[BedrockResource]]:
        """Return the stage's running jobs, and its deployments and models."""
        tag = (STAGE_TAG, self.stage)
        return running_jobs(tag, "", self.bedrock), deployments_and_models(tag, "", self.bedrock)

    def leftovers(self, holdings: Sequence[BedrockResource]) -> list[BedrockResource]:
        """Return those that no run keeps, in the same order."""
        stays = {name: self._stays(name) for name in {holding.run for holding in holdings}}
        return [one for one in holdings if (kept_ones := stays[one.run]) is not None and one.key not in kept_ones]

    def _stays(self, name: str) -> set[tuple[Kind, str]] | None:
        """Return what of a run stays; None where all does: it goes on, or cannot be judged."""
        body = self.data.get_or_none(keys.request_key(name))
        if body is None:
            return set()
        try:
            run = Run.model_validate_json(body)
        except ValidationError as error:
            logger.warning("run left alone: its request cannot be read", run=name, error=str(error))
            return None
        return None if self.is_running(run.execution) else retained(run, self.data, self.now)


def is_running(client: SFNClient, execution: str) -> bool:
    """Tell whether an execution still runs."""
    try:
        return client.describe_execution(executionArn=execution)["status"] == "RUNNING"
    except client.exceptions.ExecutionDoesNotExist:
        return False  # Forgotten by Step Functions 90 days after its end.
