"""State of emulated Step Functions executions: whether one is still running, and how it stops.

ministack runs executions, iterations and children in threads that cannot be ended from outside. Here such a thread
ends itself before its next state once its execution, or one above it, has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.services import stepfunctions

sf: Any = stepfunctions


class Stopped(SystemExit):
    """The execution of this thread has ended; no Retry or Catch sees it, and the thread ends silently."""


def is_running(execution: Mapping[str, Any]) -> bool:
    """Return whether this execution, its Map Run and the executions above it are all running."""
    while execution["status"] == "RUNNING" and execution.get("_map_run", execution)["status"] == "RUNNING":
        if "_parent" not in execution:
            return True
        execution = execution["_parent"]
    return False


def abort_children(parent: Mapping[str, Any]) -> None:
    """Mark the Map Runs and children of an execution that has ended as ABORTED."""
    for run in list(sf._map_runs.values()):
        if run["executionArn"] == parent["executionArn"] and run["status"] == "RUNNING":
            run.update(status="ABORTED", stopDate=parent["stopDate"])
    for child in list(sf._executions.values()):
        if child.get("_parent") is parent and child["status"] == "RUNNING":
            child.update(status="ABORTED", stopDate=parent["stopDate"])


class WatchedStates(dict[str, Any]):
    """The states of an iteration, a branch or a child; looking a state up records that it was entered."""

    def __init__(self, states: Mapping[str, Any], execution: dict[str, Any]) -> None:
        super().__init__(states)
        self._execution = execution

    def get(self, name: str, default: Any = None) -> Any:
        """Return the definition of a state; raise Stopped if the execution has ended."""
        if not is_running(self._execution):
            raise Stopped
        state = super().get(name, default)
        if state:
            details = {"stateEnteredEventDetails": {"name": name}}
            sf._add_event(self._execution, f"{state['Type']}StateEntered", details)
        return state
