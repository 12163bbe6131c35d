"""``distill stop RUN``: stop a run, its jobs at Bedrock, and delete what the run does not keep.

StopExecution ends the execution of a run, but not its customization jobs, which are billed. An EventBridge rule then
invokes CleanUp of the stage, and a second time when no function of the run can still create anything. This command does
not rely on that: it cleans up immediately, and says what it did.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from cli import watch
from cli.console import CommandError, NotReachable, print_json, print_line, print_to_stderr
from cli.stage import Stage, check_run_name, running_executions
from distillation.aws_errors import code_and_message
from distillation.errors import AccessDenied, ResourceBusy, ServiceUnavailable
from distillation.events import CleanUpResult
from distillation.records import Run
from distillation.run_documents import find_run
from distillation.runs.execution_input import read_input, run_name_in
from distillation.serving.clean_up import clean_up
from distillation.serving.execution_state import ExecutionState, execution_state
from distillation.serving.kept_models import kept_models_text
from distillation.serving.retention import Retention

_MAXIMUM_POLLS = 60
"""Times that the state of the execution is read before the command gives up."""
_POLL_SECONDS = 1
_START_POLLS = 10
"""Times that the command looks for a run that has just been started. EventBridge starts executions within seconds."""


def stop_run(run: str, stage: Stage, *, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """Stop a run and clean up after it, and print what was done. A run that has already failed is cleaned up too.

    Running the command again continues. Raises ``CommandError`` if the run does not exist, or ``NotReachable`` if the
    caller may not stop it, or if AWS takes too long.
    """
    execution = _find_execution(check_run_name(run), stage, sleep)
    states = stage.client("stepfunctions")
    before = execution_state(states, execution)
    if before.is_running:
        _stop_execution(run, execution, states)
    after = _wait_until_ended(run, execution, states, sleep) if before.is_running else before
    claimed = find_run(run, stage.data)
    result, problem = CleanUpResult(), None
    if claimed is not None and not after.succeeded:
        print_to_stderr(f"Cleaning up after {run}. Bedrock may take some minutes to stop a job.")
        result, problem = _clean_up(claimed, after, stage, sleep)
    kept = ""
    if claimed is not None and result.kept:
        kept = kept_models_text(claimed, stage.client("bedrock"), after.ended or datetime.now(UTC))
    outcome = "stopped" if before.is_running else "had already succeeded" if after.succeeded else "had already ended"
    if as_json:
        print_json({"run": run, "outcome": outcome, **result.model_dump(), "kept_models": kept or None})
    else:
        print_line(f"{run}: {outcome}.")
        if problem is None:
            _print_result(result, kept, is_over=after.succeeded)
    if problem:
        raise NotReachable(problem)


def _find_execution(run: str, stage: Stage, sleep: Callable[[float], None]) -> str:
    """Return the ARN of the execution of a run, including one that has not claimed the run yet.

    Wait some seconds for a run that has just been started. Raises ``CommandError`` if there is none.
    """
    if execution := watch.find_execution(run, stage.data):
        return execution
    print_to_stderr(f"Looking for {run}.")
    names: dict[str, str | None] = {}
    for _ in range(_START_POLLS):
        if execution := watch.find_execution(run, stage.data) or _running_execution(run, stage, names):
            return execution
        sleep(_POLL_SECONDS)
    raise CommandError(
        f"no run {run!r} in s3://{stage.data.name}/runs/, and no running execution is for it. If it was started within "
        "the last minute, run the command again. List the runs with: distill runs"
    )


def _running_execution(run: str, stage: Stage, names: dict[str, str | None]) -> str | None:
    """Return the running execution whose input leads to a run; None if there is none or the caller may not list them.

    ``names`` caches the run of each execution.
    """
    states = stage.client("stepfunctions")
    try:
        for execution in running_executions(stage) - names.keys():
            names[execution] = run_name_in(read_input(states, execution), execution)
    except (AccessDenied, ServiceUnavailable):
        pass  # Step Functions may not know a new execution yet.
    except ClientError as error:
        if code_and_message(error)[0] != "AccessDeniedException":
            raise
    return next((execution for execution, name in names.items() if name == run), None)


def _stop_execution(run: str, execution: str, states: Any) -> None:
    try:
        states.stop_execution(executionArn=execution, error="Stopped", cause=f"distill stop {run}")
    except ClientError as error:
        code, message = code_and_message(error)
        if code != "AccessDeniedException":
            raise
        raise NotReachable(
            f"{message}. The command needs states:StopExecution on {execution}. Ask an operator of the stage to stop "
            "the run."
        ) from None


def _wait_until_ended(run: str, execution: str, states: Any, sleep: Callable[[float], None]) -> ExecutionState:
    for _ in range(_MAXIMUM_POLLS):
        state = execution_state(states, execution)
        if not state.is_running:
            return state
        sleep(_POLL_SECONDS)
    raise NotReachable(
        f"run {run!r} was asked to stop, but its execution {execution} is still running after "
        f"{_MAXIMUM_POLLS * _POLL_SECONDS} seconds. Run the command again."
    )


def _clean_up(
    run: Run, state: ExecutionState, stage: Stage, sleep: Callable[[float], None]
) -> tuple[CleanUpResult, str | None]:
    """Return what was stopped, deleted and kept, and why that could not be finished."""
    states = stage.client("stepfunctions")
    retention = Retention(stage.data, partial(execution_state, states), datetime.now(UTC), {run.execution: state})
    try:
        return clean_up(run, retention, stage.client("bedrock"), sleep), None
    except AccessDenied as error:
        return CleanUpResult(), (
            f"run {run.name!r} has ended, but you may not clean up after it: {error}. The stage's CleanUp function "
            f"does it within minutes. See what is left with: distill clean --run {run.name}"
        )
    except ResourceBusy as error:
        return CleanUpResult(), (
            f"run {run.name!r} has ended, but Bedrock has not finished yet: {error}. The stage's CleanUp function "
            "continues. To wait for it, run the command again."
        )


def _print_result(result: CleanUpResult, kept: str, *, is_over: bool) -> None:
    if is_over:
        print_line("Nothing was changed. See what it keeps with: distill runs")
        return
    print_line(f"Stopped jobs: {', '.join(result.stopped) or 'none'}.")
    print_line(f"Deleted: {', '.join(result.deleted) or 'nothing'}.")
    if kept:
        print_line(kept)
    print_line("Labels and images stay: a later run reuses them. What was asked or trained so far is billed.")
