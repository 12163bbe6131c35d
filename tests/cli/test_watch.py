from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cli import watch
from cli.console import CommandError
from cli.progress import RunProgress, StateProgress
from distillation import keys
from distillation.documents import Bounds, PlannedRound, Recommendation
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources
from tests.support.builders import any_run
from tests.support.execution_fake import START, ExecutionFake, at, started_execution
from tests.support.fakes import bucket


def rendered_tree(progress: RunProgress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(watch.progress_tree(progress))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined] - a StringIO


def progress(status: str = "RUNNING") -> RunProgress:
    sizes = {"Customize": 3, "SizeTrained": 1, "SizeFailed": 1}
    states = [
        StateProgress("Prepare", at(0), at(2), rounds=1),
        StateProgress("LabelImages", at(3), None, 120, 6_000, 2, {}, 1.2345, 1_234_567, 23_456, rounds=1),
        StateProgress("TrainModels", at(3), inside=sizes, training_tokens=9, usd=1.0, confirmed=False, rounds=1),
        StateProgress("Evaluate"),
    ]
    verdict = "about $3.03 ($1.92 to $4.52) in addition to $1.13 paid so far, within max_usd $25.00."
    return RunProgress(
        "holiday-0123456789", status, START, at(63), states, verdict, "OverBudget", "raise max_usd", estimated_usd=4.16
    )


@pytest.mark.parametrize("width", [80, 200])
def test_tree_fits_the_terminal_and_shows_counts_costs_and_times(width: int) -> None:
    lines = rendered_tree(progress(), width)
    text = " ".join(line.strip(" │├└─") for line in lines)

    assert max(map(len, lines)) <= width
    assert "120/6000 (2 failed) · 1,234,567 tokens in, 23,456 out · $1.2345 · 1 min 00 s" in text
    assert "49 min 00 s left" in text
    assert "$1.0000 *" in text
    assert "1 trained · 1 failed" in text
    assert "Evaluate" not in text
    assert lines[0].endswith("$2.2345 * of about $4.16")


def test_piped_output_has_a_line_for_each_ended_state_and_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    snapshots = iter([progress(), progress("FAILED")])
    watch.follow(lambda: next(snapshots), 0.0)
    output = capsys.readouterr().out

    assert output.count("Prepare") == 1
    assert "FAILED: OverBudget: raise max_usd" in output
    assert "\x1b" not in output


def planned(number: int, usd: float, hours: float, result: str) -> PlannedRound:
    return PlannedRound(
        number=number,
        kind="training" if number else "baseline",
        sizes=[300] if number else [],
        labels_to_ask=258,
        usd=Bounds(low=usd, expected=usd, high=usd),
        hours=Bounds(low=hours, expected=hours, high=hours),
        result=result,
    )


def test_piped_output_has_a_line_for_each_round_of_a_state_and_the_plan_below_the_first_estimate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = [planned(0, 0.42, 0.2, "Whether to train."), planned(1, 4.5, 1.5, "A first verdict.")]
    names = ["Estimate", "LabelImages"]

    def snapshot(status: str, rounds: int) -> RunProgress:
        states = [
            StateProgress("Estimate", at(0), at(1), rounds=rounds),
            StateProgress("LabelImages", at(1), at(9), 60 * rounds, 60 * rounds, rounds=rounds),
        ]
        return RunProgress("r", status, START, at(9), states, plan=plan)

    snapshots = iter([snapshot("RUNNING", 1), snapshot("RUNNING", 1), snapshot("RUNNING", 2), snapshot("SUCCEEDED", 2)])
    watch.follow(lambda: next(snapshots), 0.0)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]

    assert [line.split()[0] for line in lines] == ["Estimate", "round", "round", "LabelImages", *names]
    assert lines[1] == "round 0: about $0.4200, 12 min. Whether to train."
    assert lines[2] == "round 1: about $4.50, 1.5 h. A first verdict."
    assert "60/60 ·" in lines[3]
    assert "2 rounds · 120/120 ·" in lines[5]


def test_plan_is_printed_once_also_if_watching_begins_in_a_later_round(capsys: pytest.CaptureFixture[str]) -> None:
    states = [StateProgress("Estimate", at(0), at(1), rounds=2)]
    plan = [planned(0, 0.42, 0.2, "Whether to train.")]
    snapshots = iter([RunProgress("r", status, START, at(9), states, plan=plan) for status in ("RUNNING", "SUCCEEDED")])
    watch.follow(lambda: next(snapshots), 0.0)

    assert capsys.readouterr().out.count("round 0: about $0.4200, 12 min. Whether to train.") == 1


def test_tree_has_the_plan_below_the_estimate_and_the_number_of_rounds() -> None:
    states = [StateProgress("Estimate", at(0), at(1), rounds=2), StateProgress("Split", at(0), at(1), rounds=1)]
    plan = [planned(0, 0.42, 0.2, "Whether to train."), planned(1, 4.5, 1.5, "A first verdict.")]
    lines = rendered_tree(RunProgress("r", "RUNNING", START, at(9), states, plan=plan), 100)

    assert "2 rounds · 1.0 s" in lines[1]
    assert "round 0: about $0.4200, 12 min. Whether to train." in lines[2]
    assert "round 1: about $4.50, 1.5 h. A first verdict." in lines[3]
    assert "Split" in lines[4]
    assert "round" not in lines[4]


@pytest.mark.parametrize("terminal", [False, True])
def test_last_line_is_the_recommendation(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "is_terminal", lambda: terminal)
    recommendation = Recommendation(action="more photos", text="Add about\n300 photos.", usd=2.0)
    ended = RunProgress("r", "SUCCEEDED", START, at(9), [], recommendation=recommendation)
    watch.follow(lambda: ended, 0.0)

    assert capsys.readouterr().out.endswith("Next: Add about 300 photos.\n")


def test_cause_of_a_run_that_was_stopped_names_the_models_that_are_kept(endpoint: Endpoint, client: Any) -> None:
    add_resources(endpoint, "holiday-1", 12, stage="test")
    data = bucket(**{keys.request_key("holiday-1"): any_run().model_dump_json().encode()})
    stage: Any = SimpleNamespace(data=data, client=lambda _: client)
    stopped = RunProgress("holiday-1", "ABORTED", at(0), at(1), [])
    running = RunProgress("holiday-1", "RUNNING", at(0), at(1), [])

    assert "Tuned model kept until" in (watch.with_kept_models(stopped, stage).cause or "")
    assert watch.with_kept_models(running, stage) == running
    # RecordFailure has already added the models to the cause of a run that failed.
    data.write(keys.failure_key("holiday-1"), b"{}")
    assert watch.with_kept_models(stopped, stage) == stopped


def test_interrupt_does_not_stop_the_run_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> RunProgress:
        raise KeyboardInterrupt

    class Stage:
        name = "dev"
        data = bucket(**{keys.request_key("r"): b""})

        def client(self, _: str) -> ExecutionFake:
            return started_execution()

    monkeypatch.setattr(watch, "follow", interrupted)
    monkeypatch.setattr(watch, "wait_for_execution", lambda *_: "arn")
    with pytest.raises(KeyboardInterrupt):
        watch.watch_run("r", Stage(), as_json=False)  # type: ignore[arg-type] - has the used members
    assert "The run is still running. Watch it with: distill watch r --stage dev" in capsys.readouterr().err


@pytest.mark.parametrize("key", [keys.request_key("r"), keys.failure_key("r")])
def test_execution_of_an_accepted_or_rejected_run_is_found(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch.wait_for_execution("r", bucket(**{key: b'{"run": "r", "execution": "arn"}'}), 60) == "arn"
    assert capsys.readouterr().err == ""


def test_run_that_does_not_start_in_time_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=r"no run 'r' in s3://data/runs/\. List the runs with: distill runs"):
        watch.wait_for_execution("r", bucket(), 0.01)
    assert "Waiting for r to start." in capsys.readouterr().err


def test_cause_of_a_rejected_run_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    execution = started_execution()
    description = {
        "status": "FAILED",
        "startDate": START,
        "error": "InvalidRequest",
        "cause": "Prepare: unknown field 'teachr'",
    }
    monkeypatch.setattr(execution, "describe_execution", lambda **_: description)
    failure = {
        "run": "r",
        "execution": "arn",
        "state": "Prepare",
        "error": "InvalidRequest",
        "cause": description["cause"],
    }
    stage: Any = SimpleNamespace(
        name="dev",
        data=bucket(**{keys.failure_key("r"): json.dumps(failure).encode()}),
        client=lambda _: execution,
    )

    assert not watch.watch_run("r", stage, as_json=False)
    assert "FAILED: InvalidRequest: Prepare: unknown field 'teachr'" in capsys.readouterr().out
