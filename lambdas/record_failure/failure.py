"""Turn what Catch hands over into a sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def describe(state: dict[str, Any], execution: str, client: SFNClient) -> dict[str, Any]:
    """Return ``{state, error, cause}``: which state failed, the error's name, and a plain text."""
    caught = state.get("error", {})
    where = _failed_state(execution, client)
    return {
        "state": where,
        "error": caught.get("Error", "Unknown"),
        "cause": f"{where}: {_message(caught.get('Cause', 'no cause was given'))}",
    }


def _message(cause: str) -> str:
    """Return the message inside a Lambda's error, or the cause itself when it is none."""
    try:
        parsed = json.loads(cause)
    except ValueError:
        return cause
    return parsed.get("errorMessage", cause) if isinstance(parsed, dict) else cause


def _failed_state(execution: str, client: SFNClient) -> str:
    """Return the state that was entered last before this one: the one that failed."""
    history = client.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=200, includeExecutionData=False
    )
    entered = [
        event["stateEnteredEventDetails"]["name"] for event in history["events"] if "stateEnteredEventDetails" in event
    ]
    quiet = {"RecordFailure", "OverBudget", "NothingTrained"}
    return next((name for name in entered if name not in quiet), "unknown state")
