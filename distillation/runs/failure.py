"""Turn what Catch hands over into a sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillation import keys
from distillation.errors import message_of
from distillation.runs.request import run_name_of
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def describe_failure(state: dict[str, Any], execution: str, client: SFNClient) -> dict[str, Any]:
    """Return ``{state, error, cause}``: which state failed, the error's name, and a plain text."""
    caught = state.get("error", {})
    error, cause = caught.get("Error", "Unknown"), caught.get("Cause", "no cause was given")
    if error == "States.ExceedToleratedFailureThreshold":
        error, cause = _first_failed_batch(execution, client) or (error, cause)
    where = _failed_state(execution, client)
    return {"state": where, "error": error, "cause": f"{where}: {message_of(cause)}{_sizes(state)}"}


def failed_run(state: dict[str, Any], execution: str, data: Bucket) -> str | None:
    """Name the run that failed, though Prepare refused it; None where it has no name or is another execution's."""
    try:
        # Prepare alone says who claimed a run; without that, `run` is what somebody wrote into the input.
        run = state["run"] if "claimed_by" in state else run_name_of(state, execution)
    except (KeyError, TypeError):
        return None  # What started this execution is neither an event nor a request.
    claimed = data.get_or_none(keys.request_key(run)) if run else None
    return run if claimed is None or json.loads(claimed)["execution"] == execution else None


def _sizes(state: dict[str, Any]) -> str:
    """Say of each size why it was not trained, where that is what failed."""
    trained = state.get("trained", {})
    if trained.get("any", True):
        return ""
    return ": " + "; ".join(f"size {model['size']}: {message_of(model['reason'])}" for model in trained["models"])


def _first_failed_batch(execution: str, client: SFNClient) -> tuple[str, str] | None:
    """Return error and cause of a batch that failed: a Map tells only that one did."""
    try:
        for map_run in client.list_map_runs(executionArn=execution)["mapRuns"]:
            failed = client.list_executions(mapRunArn=map_run["mapRunArn"], statusFilter="FAILED", maxResults=1)
            for child in failed["executions"]:
                found = client.describe_execution(executionArn=child["executionArn"])
                return found.get("error", "Unknown"), found.get("cause", "no cause was given")
    except ClientError:
        # A failure is told even when it cannot be explained.
        logger.exception("the batch that failed was not found")
    return None


def _failed_state(execution: str, client: SFNClient) -> str:
    """Return the state that was entered last before this one: the one that failed."""
    history = client.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=200, includeExecutionData=False
    )
    entered = [
        event["stateEnteredEventDetails"]["name"] for event in history["events"] if "stateEnteredEventDetails" in event
    ]
    quiet = {"RecordFailure", "OverBudget", "AnyModelTrained", "NothingTrained"}
    return next((name for name in entered if name not in quiet), "unknown state")
