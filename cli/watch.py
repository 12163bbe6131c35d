"""``distill watch RUN``: show the states of a run with item counts, tokens, cost and remaining time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cli.console import is_terminal, print_json, print_line, print_to_stderr, print_wrapped
from cli.progress import ExecutionObserver, RunProgress, StateProgress
from cli.stage import Stage, check_run_name, run_not_found
from distillation import keys
from distillation.costs.lines import format_usd
from distillation.documents import PlannedRound
from distillation.plain_text import clean_line
from distillation.run_documents import find_run
from distillation.serving.kept_models import kept_models_text
from distillation.storage import Bucket

POLL_SECONDS = 2.0
"""Seconds between two requests for progress."""
START_TIMEOUT_SECONDS = 60.0
"""Seconds to wait for a new run to appear."""
_OUTCOME_STATES = {"SizeTrained": "trained", "SizeFailed": "failed"}
"""Words for the states inside TrainModels that end the training of one size."""


def watch_run(run: str, stage: Stage, *, as_json: bool) -> bool:
    """Show a run until it ends and return whether it succeeded. Raises ``CommandError`` if the run does not exist.

    Ctrl-C does not stop the run.
    """
    execution = wait_for_execution(check_run_name(run), stage.data, START_TIMEOUT_SECONDS)
    observer = ExecutionObserver(run, execution, stage.client("stepfunctions"), stage.data)

    def progress() -> RunProgress:
        return with_kept_models(observer.progress(), stage)

    try:
        final = follow(progress, POLL_SECONDS, as_json=as_json)
    except KeyboardInterrupt:
        print_to_stderr(
            f"The run is still running. Watch it with: distill watch {run} --stage {stage.name}. "
            f"Stop it with: distill stop {run} --stage {stage.name}"
        )
        raise
    return not final.has_failed


def with_kept_models(progress: RunProgress, stage: Stage) -> RunProgress:
    """Return the progress of a run; if it was stopped or timed out, its cause names the tuned models that are kept.

    RecordFailure adds them to the cause of a run that failed.
    """
    run = find_run(progress.run, stage.data) if progress.has_failed else None
    if run is None or stage.data.get_or_none(keys.failure_key(run.name)):
        return progress
    text = kept_models_text(run, stage.client("bedrock"), progress.now)
    cause = " ".join(part for part in (progress.cause or "no cause was reported.", text) if part)
    return replace(progress, cause=cause) if text else progress


def wait_for_execution(run: str, data: Bucket, timeout_seconds: float) -> str:
    """Return the ARN of the execution of a run, including one that Prepare rejected.

    Wait up to ``timeout_seconds`` for a new run to appear. Raises ``CommandError`` if it does not.
    """
    deadline = time.monotonic() + timeout_seconds
    if find_execution(run, data) is None:
        print_to_stderr(f"Waiting for {run} to start.")
    while (execution := find_execution(run, data)) is None:
        if time.monotonic() > deadline:
            raise run_not_found(run, data)
        time.sleep(min(1.0, timeout_seconds / 10))
    return execution


def follow(get_progress: Callable[[], RunProgress], poll_seconds: float, *, as_json: bool = False) -> RunProgress:
    """Show the progress of a run until it ends: as a tree on a terminal, else as one line for each ended state.

    With ``as_json``, print one line of JSON for each change.
    """
    if as_json:
        return _follow_as_json(get_progress, poll_seconds)
    return _follow_as_tree(get_progress, poll_seconds) if is_terminal() else _follow_as_text(get_progress, poll_seconds)


def find_execution(run: str, data: Bucket) -> str | None:
    """Return the ARN of the execution that the request or the failure record of a run names; None without either."""
    body = data.get_or_none(keys.request_key(run)) or data.get_or_none(keys.failure_key(run))
    return json.loads(body)["execution"] if body else None


def _follow_as_tree(get_progress: Callable[[], RunProgress], poll_seconds: float) -> RunProgress:
    from rich.live import Live

    progress = get_progress()
    with Live(progress_tree(progress), auto_refresh=False) as live:
        while not progress.is_over:
            time.sleep(poll_seconds)
            progress = get_progress()
            live.update(progress_tree(progress), refresh=True)
    _print_ending(progress)
    return progress


def _follow_as_text(get_progress: Callable[[], RunProgress], poll_seconds: float) -> RunProgress:
    shown: dict[str, int] = {}
    while True:
        progress = get_progress()
        for state in progress.states:
            if (state.ended or progress.is_over) and state.rounds > shown.get(state.name, 0):
                plan = _plan_lines(state, progress) if state.name not in shown else []
                shown[state.name] = state.rounds
                print_line(f"  {state.name:<20}{_state_details(state, progress)}")
                for line in plan:
                    print_line(f"    {line}")
        if progress.is_over:
            _print_ending(progress)
            return progress
        time.sleep(poll_seconds)


def _follow_as_json(get_progress: Callable[[], RunProgress], poll_seconds: float) -> RunProgress:
    previous: Any = None
    while True:
        progress = get_progress()
        document = progress.as_json()
        states = [{**state, "seconds": 0, "seconds_left": 0} for state in document["states"]]
        without_times = {**document, "seconds": 0, "states": states}
        if without_times != previous:
            print_json(document, indent=None)
        if progress.is_over:
            return progress
        previous = without_times
        time.sleep(poll_seconds)


def progress_tree(progress: RunProgress) -> Any:
    """Return the progress of a run as a ``rich.tree.Tree``."""
    from rich.text import Text
    from rich.tree import Tree

    colour = "red" if progress.has_failed else "green" if progress.is_over else "cyan"
    tree = Tree(
        Text.assemble((progress.run, "bold"), "  ", (progress.status.lower(), colour), f"  {_run_totals(progress)}")
    )
    for state in progress.states:
        if state.began:
            mark, style = ("✓", "green") if state.ended else ("✗", "red") if progress.is_over else ("…", "cyan")
            branch = tree.add(Text.assemble((f"{mark} {state.name:<18}", style), f" {_state_details(state, progress)}"))
            for line in [*_plan_lines(state, progress), *_training_outcomes(state)]:
                branch.add(Text(line, "dim"))
    return tree


def _run_totals(progress: RunProgress) -> str:
    estimate = "" if progress.estimated_usd is None else f" of about {format_usd(progress.estimated_usd)}"
    mark = "" if all(state.confirmed for state in progress.states) else " *"
    return f"{_format_duration((progress.now - progress.began).total_seconds())}  ${progress.usd:,.4f}{mark}{estimate}"


def _state_details(state: StateProgress, progress: RunProgress) -> str:
    details = [f"{state.rounds} rounds"] if state.rounds > 1 else []
    if state.total is not None:
        details.append(f"{state.done}/{state.total}" + (f" ({state.failed} failed)" if state.failed else ""))
    if state.input_tokens or state.output_tokens:
        details.append(f"{state.input_tokens:,} tokens in, {state.output_tokens:,} out")
    if state.training_tokens:
        details.append(f"{state.training_tokens:,} tokens trained on")
    if state.usd:
        details.append(f"${state.usd:,.4f}{'' if state.confirmed else ' *'}")
    details.append(_format_duration(state.duration_seconds(progress.now)))
    remaining = state.remaining_seconds(progress.now)
    if remaining and not progress.is_over:
        details.append(f"{_format_duration(remaining)} left")
    return " · ".join(details)


def _plan_lines(state: StateProgress, progress: RunProgress) -> list[str]:
    """Return the rounds that the run may have, below Estimate."""
    return [_plan_line(round_) for round_ in progress.plan] if state.name == "Estimate" else []


def _plan_line(planned: PlannedRound) -> str:
    usd, hours = format_usd(planned.usd.expected), planned.hours.expected
    time = f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"
    return f"round {planned.number}: about {usd}, {time}. {planned.result}"


def _training_outcomes(state: StateProgress) -> list[str]:
    """Return how many sizes TrainModels trained. It is an inline Map, which has no item counts of its own."""
    outcomes = [f"{state.inside[name]} {words}" for name, words in _OUTCOME_STATES.items() if name in state.inside]
    return [" · ".join(outcomes)] if outcomes and state.total is None else []


def _format_duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _print_ending(progress: RunProgress) -> None:
    if not all(state.confirmed for state in progress.states):
        print_line("* depends on a price that is not confirmed by an official source")
    if progress.has_failed:
        print_line(f"{progress.status}: {progress.error or ''}: {progress.cause or 'no cause was reported'}")
    if progress.recommendation:
        print_wrapped(f"Next: {clean_line(progress.recommendation.text)}")
