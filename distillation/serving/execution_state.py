"""State of the executions that runs belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from distillation.aws_errors import service_errors
from distillation.errors import DistillationError
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class ExecutionState:
    """Whether an execution is running, and how it ended."""

    status: str | None
    """Status in the words of Step Functions, such as ``ABORTED``; None if Step Functions no longer knows it."""
    ended: datetime | None = None
    """Time at which it ended; None while it is running, or if Step Functions no longer knows it."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status == "RUNNING"

    @property
    def succeeded(self) -> bool:
        """Whether it ended without a failure, a timeout or a stop."""
        return self.status == "SUCCEEDED"


UNKNOWN_EXECUTION = ExecutionState(status=None)
"""State of an execution that Step Functions no longer knows: it deletes executions 90 days after their end."""


def execution_state(client: SFNClient, execution: str) -> ExecutionState:
    """Return the state of the execution with this ARN. Raises ``ServiceUnavailable`` or ``AccessDenied``."""
    with service_errors(f"execution {execution}"):
        try:
            description = client.describe_execution(executionArn=execution)
        except client.exceptions.ExecutionDoesNotExist:
            return UNKNOWN_EXECUTION
    return ExecutionState(description["status"], description.get("stopDate"))


def has_ended(client: SFNClient, execution: str) -> bool:
    """Return whether an execution is known to have ended; False, with a warning, if Step Functions does not answer."""
    try:
        return not execution_state(client, execution).is_running
    except DistillationError as error:
        logger.warning("execution taken as running: its state cannot be read", execution=execution, error=str(error))
        return False
