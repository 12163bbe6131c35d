"""Progress of a run: states from the execution history, item counts of its Maps, and costs from its ledger.

This works the same on AWS, on the AWS emulator and in the demo.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from distillation import keys, ledger
from distillation.documents import Estimate, PlannedRound, Recommendation
from distillation.records import LedgerPart
from distillation.run_documents import find_report
from distillation.storage import Bucket

_EVENTS_PER_PAGE = 200
_FAILED_STATUSES = {"FAILED", "TIMED_OUT", "ABORTED"}
_STEP_TYPES = ("Task", "Map")


@dataclass
class StateProgress:
    """Progress of one state."""

    name: str
    began: datetime | None = None
    """Time of first entry; None if the state was not entered."""
    ended: datetime | None = None
    """Time of last exit; None while the state is running."""
    done: int | None = None
    """Finished items of a Distributed Map in all rounds, including failed ones."""
    total: int | None = None
    """All items of a Distributed Map in the rounds that have begun."""
    failed: int = 0
    """Failed items of a Distributed Map in all rounds."""
    inside: dict[str, int] = field(default_factory=dict)
    """Number of entries of each state inside an inline Map, in its last round."""
    usd: float = 0.0
    """Cost in US dollars so far."""
    input_tokens: int = 0
    output_tokens: int = 0
    training_tokens: int = 0
    confirmed: bool = True
    """Whether all prices behind ``usd`` are confirmed by an official source."""
    rounds: int = 0
    """Number of times that the run came to the state. A state that polls is entered several times in one round."""
    round_began: datetime | None = None
    """Start of the last round; None if there was only one."""
    earlier_seconds: float = 0.0
    """Duration of all rounds before the last one, in seconds."""

    def enter(self, time: datetime, *, again: bool) -> None:
        """Record an entry; ``again`` if no other step ran since the last one, as in a state that polls."""
        if self.began is None:
            self.began = time
        elif not again:
            self.earlier_seconds = self.duration_seconds(time)
            self.round_began = time
        if not again:
            self.rounds += 1
            self.inside = {}
        self.ended = None

    def duration_seconds(self, now: datetime) -> float:
        """Return the seconds that the state has taken in all rounds, without the time between them."""
        began = self.round_began or self.began
        return self.earlier_seconds + ((self.ended or now) - began).total_seconds() if began else 0.0

    def remaining_seconds(self, now: datetime) -> float | None:
        """Return the expected remaining seconds at the average speed so far, or None if unknown."""
        if not self.began or self.ended or not self.done or not self.total:
            return None
        return self.duration_seconds(now) / self.done * (self.total - self.done)


@dataclass
class RunProgress:
    """Progress of a run at one moment."""

    run: str
    status: str
    began: datetime
    now: datetime
    states: list[StateProgress]
    estimate: str | None = None
    """Verdict of the run's last estimate, once there is one."""
    error: str | None = None
    cause: str | None = None
    plan: list[PlannedRound] = field(default_factory=list)
    """Rounds that the run may have, once there is an estimate."""
    recommendation: Recommendation | None = None
    """Recommended next action; None until the run has ended with a report."""
    estimated_usd: float | None = None
    """Expected cost in US dollars up to the first verdict, or up to the current round if that comes later."""

    @property
    def usd(self) -> float:
        """Cost in US dollars so far, from the ledger."""
        return sum(state.usd for state in self.states)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.status != "RUNNING"

    @property
    def has_failed(self) -> bool:
        """Whether the run failed, timed out or was aborted."""
        return self.status in _FAILED_STATUSES

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``--json`` prints."""
        return {
            "run": self.run,
            "status": self.status,
            "seconds": round((self.now - self.began).total_seconds(), 1),
            "usd": self.usd,
            "estimate": self.estimate,
            "estimated_usd": self.estimated_usd,
            "error": self.error,
            "cause": self.cause,
            "plan": [round_.model_dump(mode="json") for round_ in self.plan],
            "recommendation": self.recommendation.model_dump(mode="json") if self.recommendation else None,
            "states": [_as_json(state, self.now) for state in self.states if state.began],
        }


class ExecutionObserver:
    """Repeated reader of the progress of one execution. Events and ledger parts are read only once."""

    def __init__(self, run: str, execution: str, states: Any, data: Bucket) -> None:
        self._run, self._execution, self._client, self._data = run, execution, states, data
        self._events: list[Any] = []
        self._parts: dict[str, LedgerPart] = {}
        self._maps: dict[str, tuple[int, int, int]] = {}
        self._photos = 0
        self._estimates_read = 0
        self._estimate: Estimate | None = None
        definition = json.loads(states.describe_state_machine_for_execution(executionArn=execution)["definition"])
        # Definition order. Choice, Wait and end states are left out, because they are not progress.
        self._state_names = [
            name
            for name, state in definition["States"].items()
            if state["Type"] in _STEP_TYPES and name != "RecordFailure"
        ]
        # A state inside a Map has its own ledger parts, such as Deploy in TrainModels.
        self._outer_states = {
            inner: name
            for name, state in definition["States"].items()
            for inner in state.get("ItemProcessor", {}).get("States", {})
        }

    def progress(self) -> RunProgress:
        """Return the current progress of the run."""
        description = self._client.describe_execution(executionArn=self._execution)
        self._events += reversed(list(self._new_events()))
        states = {name: StateProgress(name) for name in self._state_names}
        _apply_events(states, self._events)
        self._maps |= map_counts(self._client, self._execution)
        for name, (done, failed, total) in self._maps.items():
            if name in states:
                states[name].done, states[name].failed, states[name].total = done, failed, total
        self._count_photos_only(states)
        self._add_costs(states)
        self._read_estimate(states)
        report = find_report(self._run, self._data) if description["status"] == "SUCCEEDED" else None
        return RunProgress(
            self._run,
            description["status"],
            description["startDate"],
            description.get("stopDate") or datetime.now(UTC),
            list(states.values()),
            self._estimate.verdict if self._estimate else None,
            description.get("error"),
            description.get("cause"),
            self._estimate.plan if self._estimate else [],
            report.recommendation if report else None,
            self._estimate.usd if self._estimate else None,
        )

    def _new_events(self) -> Iterator[Any]:
        """Yield the events since the last call, newest first."""
        last_id = self._events[-1]["id"] if self._events else 0
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=self._execution,
            includeExecutionData=False,
            reverseOrder=True,
            PaginationConfig={"PageSize": _EVENTS_PER_PAGE},
        )
        for page in pages:
            for event in page["events"]:
                if event["id"] <= last_id:
                    return
                yield event

    def _count_photos_only(self, states: dict[str, StateProgress]) -> None:
        """Leave ``distill.json`` and other files out of the counts: ResizePhotos gets everything in the collection."""
        state = states.get("ResizePhotos")
        if state is None or state.total is None:
            return
        if not self._photos and (listing := self._data.get_or_none(keys.listing_key(self._run))):
            self._photos = len(listing.splitlines())
        photos = self._photos or state.total
        state.done, state.total = max(0, (state.done or 0) - max(0, state.total - photos)), min(state.total, photos)

    def _add_costs(self, states: dict[str, StateProgress]) -> None:
        for key in self._data.keys(keys.ledger_prefix(self._run)):
            if key.endswith(".json") and key not in self._parts:
                self._parts[key] = self._data.read_document(key, LedgerPart)
        for part in self._parts.values():
            if state := states.get(self._outer_states.get(part.step, part.step)):
                state.usd += part.usd
                state.input_tokens += part.input_tokens
                state.output_tokens += part.output_tokens
                state.training_tokens += part.training_tokens
                state.confirmed &= ledger.prices_are_confirmed(part.model, part.tier, part.training_tokens > 0)

    def _read_estimate(self, states: dict[str, StateProgress]) -> None:
        """Read the estimate again once a round has rewritten it."""
        state = states.get("Estimate")
        if state and state.ended and state.rounds > self._estimates_read:
            self._estimate = self._data.read_document(keys.estimate_key(self._run), Estimate)
            self._estimates_read = state.rounds


def map_counts(states: Any, execution: str) -> dict[str, tuple[int, int, int]]:
    """Return finished, failed and total item counts of each Distributed Map of an execution, keyed by its Label.

    The counts of a Map that runs in several rounds are summed.
    """
    counts_by_label: dict[str, tuple[int, int, int]] = {}
    for run in states.list_map_runs(executionArn=execution)["mapRuns"]:
        counts = states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
        label = run["mapRunArn"].split(":")[-2].split("/")[-1]
        finished, failed, total = counts_by_label.get(label, (0, 0, 0))
        finished += counts["succeeded"] + counts["failed"] + counts["aborted"]
        counts_by_label[label] = (finished, failed + counts["failed"], total + counts["total"])
    return counts_by_label


def _apply_events(states: dict[str, StateProgress], events: list[Any]) -> None:
    """Set times and rounds of states, and count the states entered inside inline Maps."""
    current_map: str | None = None
    last: str | None = None
    for event in events:
        if entered := event.get("stateEnteredEventDetails"):
            name = entered["name"]
            if current_map and name != current_map:
                entries = states[current_map].inside
                entries[name] = entries.get(name, 0) + 1
            elif name in states:
                states[name].enter(event["timestamp"], again=name == last)
                last = name
                current_map = name if event["type"] == "MapStateEntered" else None
        elif exited := event.get("stateExitedEventDetails"):
            if exited["name"] in states:
                states[exited["name"]].ended = event["timestamp"]
            if exited["name"] == current_map:
                current_map = None


def _as_json(state: StateProgress, now: datetime) -> dict[str, Any]:
    return asdict(state) | {
        "began": state.began.isoformat() if state.began else None,
        "ended": state.ended.isoformat() if state.ended else None,
        "round_began": state.round_began.isoformat() if state.round_began else None,
        "seconds": round(state.duration_seconds(now), 1),
        "seconds_left": state.remaining_seconds(now),
    }
