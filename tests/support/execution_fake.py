"""A Step Functions client for the progress of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 11, 25, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class ExecutionFake:
    """Step Functions client of one execution; its history has the events added so far."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.events: list[dict[str, Any]] = []
        self.map_runs = {"LabelImages:1": (20, 60)}
        """Succeeded and all items of each Map Run."""
        definition = {
            "Prepare": "Task",
            "Choose": "Choice",
            "Estimate": "Task",
            "LabelImages": "Map",
            "TrainModels": "Map",
            "RecordFailure": "Task",
        }
        self.definition = json.dumps({"States": {name: {"Type": kind} for name, kind in definition.items()}})

    def event(self, seconds: float, kind: str, name: str) -> None:
        details = "stateEnteredEventDetails" if kind.endswith("Entered") else "stateExitedEventDetails"
        self.events.append(
            {"id": len(self.events) + 1, "timestamp": at(seconds), "type": kind, details: {"name": name}}
        )

    def describe_state_machine_for_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        return {"definition": self.definition}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        return {"status": self.status, "startDate": START, "stopDate": at(100)}

    def list_map_runs(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        return {"mapRuns": [{"mapRunArn": f"arn:aws:states:us-east-1:0:mapRun:machine/{run}"} for run in self.map_runs]}

    def describe_map_run(self, mapRunArn: str) -> dict[str, Any]:  # noqa: N803
        succeeded, total = self.map_runs[mapRunArn.rsplit("/", 1)[1]]
        return {"itemCounts": {"succeeded": succeeded, "failed": 0, "aborted": 0, "total": total}}

    def get_paginator(self, _: str) -> ExecutionFake:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        newest_first = self.events[::-1]
        return [{"events": newest_first[start : start + 2]} for start in range(0, len(newest_first), 2)]


def started_execution() -> ExecutionFake:
    states = ExecutionFake()
    for seconds, kind, name in (
        (0, "TaskStateEntered", "Prepare"),
        (2, "TaskStateExited", "Prepare"),
        (2, "ChoiceStateEntered", "Choose"),
        (2, "ChoiceStateExited", "Choose"),
        (3, "MapStateEntered", "LabelImages"),
    ):
        states.event(seconds, kind, name)
    return states
