from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cli import watch
from cli.console import Refused
from cli.progress import Observer, Progress, State
from distillation import keys, ledger
from distillation.records import LedgerPart
from tests.support.fakes import bucket

START = datetime(2026, 11, 25, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class States:
    """What ``Observer`` asks of Step Functions; events are told as they were so far."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.events: list[dict[str, Any]] = []
        self.asked = 0
        definition = {
            "Prepare": "Task",
            "Choose": "Choice",
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
        return {"mapRuns": [{"mapRunArn": "arn:aws:states:us-east-1:0:mapRun:machine/LabelImages:1"}]}

    def describe_map_run(self, mapRunArn: str) -> dict[str, Any]:  # noqa: N803
        return {"itemCounts": {"succeeded": 20, "failed": 0, "aborted": 0, "total": 60}}

    def get_paginator(self, _: str) -> States:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        newest_first = self.events[::-1]
        return [{"events": newest_first[start : start + 2]} for start in range(0, len(newest_first), 2)]


def begun() -> States:
    states = States()
    for seconds, kind, name in (
        (0, "TaskStateEntered", "Prepare"),
        (2, "TaskStateExited", "Prepare"),
        (2, "ChoiceStateEntered", "Choose"),
        (2, "ChoiceStateExited", "Choose"),
        (3, "MapStateEntered", "LabelImages"),
    ):
        states.event(seconds, kind, name)
    return states


def paid(usd: float) -> LedgerPart:
    return LedgerPart(
        step="LabelImages",
        model="amazon.nova-pro-v1:0",
        calls=1,
        reused=0,
        input_tokens=1000,
        output_tokens=100,
        usd=usd,
    )


def test_states_times_counts_and_dollars_are_told_as_they_come() -> None:
    states, data = begun(), bucket()
    observer = Observer("r", "arn", states, data)
    ledger.record(data, "r", paid(0.5), "one")
    ledger.reserve(data, "r", "LabelImages", "two", 9.0)
    first = {state.name: state for state in observer.look().states}
    ledger.record(data, "r", paid(0.25), "two")
    states.event(33, "MapStateExited", "LabelImages")
    states.event(33, "MapStateEntered", "TrainModels")
    states.event(34, "TaskStateEntered", "Customize")
    states.event(35, "PassStateEntered", "SizeTrained")
    second = observer.look()
    label, train = second.states[1], second.states[2]

    assert list(first) == ["Prepare", "LabelImages", "TrainModels"]
    assert first["Prepare"].seconds(at(9)) == 2
    assert (first["LabelImages"].done, first["LabelImages"].total, first["LabelImages"].usd) == (20, 60, 0.5)
    assert first["LabelImages"].seconds_left(at(13)) == pytest.approx(20)
    assert (label.usd, label.input_tokens, second.usd) == (0.75, 2000, 0.75)
    assert label.seconds(at(99)) == 30
    assert train.inside == {"Customize": 1, "SizeTrained": 1}


def shown(progress: Progress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(watch._tree(progress))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined] - a StringIO


def progress(status: str = "RUNNING") -> Progress:
    sizes = {"Customize": 3, "SizeTrained": 1, "SizeFailed": 1}
    states = [
        State("Prepare", at(0), at(2)),
        State("LabelImages", at(3), None, 120, 6_000, 2, {}, 1.2345, 1_234_567, 23_456),
        State("TrainModels", at(3), inside=sizes, training_tokens=9, usd=1.0, confirmed=False),
        State("Evaluate"),
    ]
    verdict = "about $4.1589 ($2.92 to $5.52), within max_usd $25.00"
    return Progress("holiday-0123456789", status, START, at(63), states, verdict, "OverBudget", "raise max_usd")


@pytest.mark.parametrize("width", [80, 200])
def test_tree_fits_the_terminal_and_tells_all(width: int) -> None:
    lines = shown(progress(), width)
    text = " ".join(line.strip(" │├└─") for line in lines)

    assert max(map(len, lines)) <= width
    assert "120/6000 (2 failed) · 1,234,567 tokens in, 23,456 out · $1.2345 · 1 min 00 s" in text
    assert "49 min 00 s left" in text
    assert "$1.0000 *" in text
    assert "1 trained · 1 failed" in text
    assert "Evaluate" not in text
    assert lines[0].endswith("$2.2345 * of about $4.1589")


def test_piped_it_is_a_line_for_each_state_that_ended_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    looks = iter([progress(), progress("FAILED")])
    watch.follow(lambda: next(looks), 0.0)
    output = capsys.readouterr().out

    assert output.count("Prepare") == 1
    assert "FAILED: OverBudget: raise max_usd" in output
    assert "\x1b" not in output


def test_interrupt_leaves_the_run_alone_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> Progress:
        raise KeyboardInterrupt

    class Stage:
        name = "dev"
        data = bucket(**{keys.request_key("r"): b""})

        def client(self, _: str) -> States:
            return begun()

    monkeypatch.setattr(watch, "follow", interrupted)
    monkeypatch.setattr(watch, "execution_of", lambda *_: "arn")
    with pytest.raises(KeyboardInterrupt):
        watch.watch_run("r", Stage(), as_json=False)  # type: ignore[arg-type] - only what is asked of it
    assert "the run goes on; to see it again: distill watch r --stage dev" in capsys.readouterr().err


@pytest.mark.parametrize("key", [keys.request_key("r"), keys.failure_key("r")])
def test_run_is_followed_whether_it_was_claimed_or_refused(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch.execution_of("r", bucket(**{key: b'{"run": "r", "execution": "arn"}'}), 60) == "arn"
    assert capsys.readouterr().err == ""


def test_run_that_nobody_claims_is_waited_for_and_then_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused, match="no run 'r' in s3://data/runs/; distill runs lists them"):
        watch.execution_of("r", bucket(), 0.01)
    assert "waiting for r to begin" in capsys.readouterr().err


def test_run_that_prepare_refused_is_told_with_its_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = begun()
    ended = {
        "status": "FAILED",
        "startDate": START,
        "error": "InvalidRequest",
        "cause": "Prepare: unknown field 'teachr'",
    }
    monkeypatch.setattr(states, "describe_execution", lambda **_: ended)
    failure = {"run": "r", "execution": "arn", "state": "Prepare", "error": "InvalidRequest", "cause": ended["cause"]}
    stage: Any = SimpleNamespace(
        name="dev",
        data=bucket(**{keys.failure_key("r"): json.dumps(failure).encode()}),
        client=lambda _: states,
    )

    assert not watch.watch_run("r", stage, as_json=False)
    assert "FAILED: InvalidRequest: Prepare: unknown field 'teachr'" in capsys.readouterr().out
