"""How far a run is: states from the history of its execution, counts of its Maps, and what its ledger says.

The same on AWS, on the embedded AWS, and for the demo.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from distillation import keys, ledger
from distillation.records import LedgerPart
from distillation.storage import Bucket

_PAGE = 200
_FAILED = {"FAILED", "TIMED_OUT", "ABORTED"}
_STEPS = ("Task", "Map")


@dataclass
class State:
    """One state: ``done`` of ``total`` items of a Map; ``inside``, how often the states in it were entered."""

    name: str
    began: datetime | None = None
    ended: datetime | None = None
    done: int | None = None
    total: int | None = None
    failed: int = 0
    inside: dict[str, int] = field(default_factory=dict)
    usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    training_tokens: int = 0
    confirmed: bool = True
    """Whether an official copy has all prices behind ``usd``."""

    def seconds(self, now: datetime) -> float:
        """How long it has been at work."""
        return ((self.ended or now) - self.began).total_seconds() if self.began else 0.0

    def seconds_left(self, now: datetime) -> float | None:
        """How long it will take at its pace so far; None where nothing tells."""
        if not self.began or self.ended or not self.done or not self.total:
            return None
        return self.seconds(now) / self.done * (self.total - self.done)


@dataclass
class Progress:
    """A run at one moment."""

    run: str
    status: str
    began: datetime
    now: datetime
    states: list[State]
    estimate: str | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def usd(self) -> float:
        """What the ledger holds."""
        return sum(state.usd for state in self.states)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status != "RUNNING"

    @property
    def failed(self) -> bool:
        """Whether it ended badly."""
        return self.status in _FAILED

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "run": self.run,
            "status": self.status,
            "seconds": round((self.now - self.began).total_seconds(), 1),
            "usd": self.usd,
            "estimate": self.estimate,
            "error": self.error,
            "cause": self.cause,
            "states": [_as_json(state, self.now) for state in self.states if state.began],
        }


class Observer:
    """Looks at one execution again and again; what never changes is read once."""

    def __init__(self, run: str, execution: str, states: Any, data: Bucket) -> None:
        self._run, self._execution, self._client, self._data = run, execution, states, data
        self._events: list[Any] = []
        self._parts: dict[str, LedgerPart] = {}
        self._maps: dict[str, tuple[int, int, int]] = {}
        self._estimate: str | None = None
        definition = states.describe_state_machine_for_execution(executionArn=execution)["definition"]
        # The steps in the order of the file; choices, waits and endings are no progress.
        self._steps = [
            name
            for name, state in json.loads(definition)["States"].items()
            if state["Type"] in _STEPS and name != "RecordFailure"
        ]

    def look(self) -> Progress:
        """Return how far the run is now."""
        found = self._client.describe_execution(executionArn=self._execution)
        self._events += reversed(list(self._new_events()))
        states = {name: State(name) for name in self._steps}
        _enter(states, self._events)
        self._maps |= map_counts(self._client, self._execution)
        for name, (done, failed, total) in self._maps.items():
            if name in states:
                states[name].done, states[name].failed, states[name].total = done, failed, total
        self._spend(states)
        return Progress(
            self._run,
            found["status"],
            found["startDate"],
            found.get("stopDate") or datetime.now(UTC),
            list(states.values()),
            self._estimated(states),
            found.get("error"),
            found.get("cause"),
        )

    def _new_events(self) -> Iterator[Any]:
        """Yield the events since the last look, the newest first."""
        last = self._events[-1]["id"] if self._events else 0
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=self._execution,
            includeExecutionData=False,
            reverseOrder=True,
            PaginationConfig={"PageSize": _PAGE},
        )
        for page in pages:
            for event in page["events"]:
                if event["id"] <= last:
                    return
                yield event

    def _spend(self, states: dict[str, State]) -> None:
        for key in self._data.keys(keys.ledger_prefix(self._run)):
            if key.endswith(".json") and key not in self._parts:
                self._parts[key] = LedgerPart.model_validate_json(self._data.read(key))
        for part in self._parts.values():
            if state := states.get(part.step):
                state.usd += part.usd
                state.input_tokens += part.input_tokens
                state.output_tokens += part.output_tokens
                state.training_tokens += part.training_tokens
                state.confirmed &= ledger.confirmed(part.model, part.tier, part.training_tokens > 0)

    def _estimated(self, states: dict[str, State]) -> str | None:
        estimated = states.get("Estimate")
        if self._estimate is None and estimated and estimated.ended:
            self._estimate = self._data.read_json(keys.report_key(self._run, "estimate.json"))["verdict"]
        return self._estimate


def map_counts(states: Any, execution: str) -> dict[str, tuple[int, int, int]]:
    """Return done, failed and all items of each Distributed Map of an execution, by its Label."""
    found = {}
    for run in states.list_map_runs(executionArn=execution)["mapRuns"]:
        counts = states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
        name = run["mapRunArn"].split(":")[-2].split("/")[-1]
        found[name] = (counts["succeeded"] + counts["failed"] + counts["aborted"], counts["failed"], counts["total"])
    return found


def _enter(states: dict[str, State], events: list[Any]) -> None:
    """Put times and what happened inside Maps into states; a state that is entered again goes on."""
    inside: str | None = None
    for event in events:
        if entered := event.get("stateEnteredEventDetails"):
            name = entered["name"]
            if inside and name != inside:
                states[inside].inside[name] = states[inside].inside.get(name, 0) + 1
            elif name in states:
                states[name].began, states[name].ended = states[name].began or event["timestamp"], None
                inside = name if event["type"] == "MapStateEntered" else None
        elif exited := event.get("stateExitedEventDetails"):
            if exited["name"] in states:
                states[exited["name"]].ended = event["timestamp"]
            if exited["name"] == inside:
                inside = None


def _as_json(state: State, now: datetime) -> dict[str, Any]:
    return asdict(state) | {
        "began": state.began.isoformat() if state.began else None,
        "ended": state.ended.isoformat() if state.ended else None,
        "seconds": round(state.seconds(now), 1),
        "seconds_left": state.seconds_left(now),
    }
