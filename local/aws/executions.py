"""When an execution of the embedded Step Functions goes on, and how it is made to stop.

ministack runs executions, iterations and children in threads that nobody can end from outside. They end
themselves here, before the next state, once their execution or one above it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.services import stepfunctions

sf: Any = stepfunctions


class Stopped(SystemExit):
    """Ends the thread of an execution that is over; no Retry or Catch sees it, and threads end silently."""


def running(execution: Mapping[str, Any]) -> bool:
    """Whether this execution, its Map Run and the executions above it all go on."""
    while execution["status"] == "RUNNING" and execution.get("_map_run", execution)["status"] == "RUNNING":
        if "_parent" not in execution:
            return True
        execution = execution["_parent"]
    return False


def abort_children(parent: Mapping[str, Any]) -> None:
    """End the Map Runs and children of an execution that is over; they note it before their next state."""
    for run in list(sf._map_runs.values()):
        if run["executionArn"] == parent["executionArn"] and run["status"] == "RUNNING":
            run.update(status="ABORTED", stopDate=parent["stopDate"])
    for child in list(sf._executions.values()):
        if child.get("_parent") is parent and child["status"] == "RUNNING":
            child.update(status="ABORTED", stopDate=parent["stopDate"])


class WatchedStates(dict[str, Any]):
    """The states of an iteration, a branch or a child; looking one up is entering it."""

    def __init__(self, states: Mapping[str, Any], execution: dict[str, Any]) -> None:
        super().__init__(states)
        self._execution = execution

    def get(self, name: str, default: Any = None) -> Any:
        """Return the definition of the state; raise Stopped when the execution is over."""
        if not running(self._execution):
            raise Stopped
        state = super().get(name, default)
        if state:
            entered = {"stateEnteredEventDetails": {"name": name}}
            sf._add_event(self._execution, f"{state['Type']}StateEntered", entered)
        return state
