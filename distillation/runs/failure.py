"""Describe a failed execution: which state failed, the name of the error, and its cause in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillation import keys
from distillation.documents import Failure, FailureCause
from distillation.errors import error_message
from distillation.run_documents import find_run
from distillation.runs.request import run_name_of
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_NO_CAUSE = "no cause was given"
_PASSED_ON_FAILURE = {"RecordFailure", "OverBudget", "AnyModelTrained", "NothingTrained"}
"""States that an execution enters after the state that failed."""


def record_failure(state: Any, execution: str, data: Bucket, client: SFNClient) -> FailureCause:
    """Return why an execution failed, and write it as ``failure.json`` of its run if it has one.

    ``state`` is the whole state of the execution, or its input if Prepare failed.
    """
    failure = describe_failure(state, execution, client)
    if run := failed_run(state, execution, data):
        document = Failure(run=run, execution=execution, **failure.model_dump())
        data.write_document(keys.failure_key(run), document)
    return failure


def describe_failure(state: Any, execution: str, client: SFNClient) -> FailureCause:
    """Return the state that failed, the name of the error, and a cause that names the state."""
    caught = state.get("error", {})
    error, cause = caught.get("Error", "Unknown"), caught.get("Cause", _NO_CAUSE)
    if error == "States.ExceedToleratedFailureThreshold":
        error, cause = _first_failed_batch(execution, client) or (error, cause)
    failed_state = _failed_state(execution, client)
    text = f"{failed_state}: {error_message(cause)}{_failed_sizes(state)}"
    return FailureCause(state=failed_state, error=error, cause=text)


def failed_run(state: Any, execution: str, data: Bucket) -> str | None:
    """Return the name of the run of a failed execution, also if Prepare refused it.

    None if the execution has no run, or another execution has claimed it.
    """
    try:
        # Only Prepare writes claimed_by. Without it, `run` is a field that somebody put into the input.
        run = state["run"] if "claimed_by" in state else run_name_of(state, execution)
    except (KeyError, TypeError):
        return None  # The input is neither an S3 event nor a request.
    claimed = find_run(run, data) if run else None
    if claimed is not None and claimed.execution != execution:
        return None
    return run


def _failed_sizes(state: Any) -> str:
    """Return why each size failed, if no size was trained; else an empty text."""
    trained = state.get("trained", {})
    if trained.get("any_active", True):
        return ""
    return ": " + "; ".join(f"size {model['size']}: {error_message(model['reason'])}" for model in trained["models"])


def _first_failed_batch(execution: str, client: SFNClient) -> tuple[str, str] | None:
    """Return error and cause of the first failed batch: the error of a Map does not contain them."""
    try:
        for map_run in client.list_map_runs(executionArn=execution)["mapRuns"]:
            failed = client.list_executions(mapRunArn=map_run["mapRunArn"], statusFilter="FAILED", maxResults=1)
            for child in failed["executions"]:
                batch = client.describe_execution(executionArn=child["executionArn"])
                return batch.get("error", "Unknown"), batch.get("cause", _NO_CAUSE)
    except ClientError:
        # The failure is recorded even if the failed batch cannot be read.
        logger.exception("failed batch could not be read")
    return None


def _failed_state(execution: str, client: SFNClient) -> str:
    """Return the state that failed: the last one that was entered before those of failure handling."""
    history = client.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=200, includeExecutionData=False
    )
    entered = (
        event["stateEnteredEventDetails"]["name"] for event in history["events"] if "stateEnteredEventDetails" in event
    )
    return next((name for name in entered if name not in _PASSED_ON_FAILURE), "unknown state")
