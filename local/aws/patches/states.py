"""Step Functions: how executions end, and Map states."""

from __future__ import annotations

import contextlib
import contextvars
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import stepfunctions

from local.aws import distributed_map, executions, shutdown
from local.aws.executions import Stopped, WatchedStates, abort_children
from local.aws.patches import Patch

sf: Any = stepfunctions

current_execution: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("execution", default=None)
"""Execution whose task the current thread runs."""
_LAST_EVENTS = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}


def must_stop(execution: dict[str, Any]) -> bool:
    """Return whether the execution has ended or the emulator shuts down."""
    return shutdown.closing.is_set() or not executions.is_running(execution)


def _run_with_timeout(run: Callable[[str], None]) -> Callable[[str], None]:
    def run_execution(arn: str) -> None:
        execution = sf._executions.get(arn)
        with _timeout(execution), shutdown.track(), contextlib.suppress(Stopped):
            run(arn)

    return run_execution


@contextlib.contextmanager
def _timeout(execution: dict[str, Any] | None) -> Iterator[None]:
    """End the execution as TIMED_OUT once its state machine's TimeoutSeconds have passed."""
    machine = execution and sf._state_machines.get(execution["stateMachineArn"])
    seconds = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
    if not seconds:
        yield
        return
    alarm = threading.Timer(seconds, contextvars.copy_context().run, (_time_out, execution))
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] != "RUNNING":
        return
    execution |= {"status": "TIMED_OUT", "stopDate": sf.now_iso()}
    details = {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
    sf._add_event(execution, "ExecutionTimedOut", details)
    sf._emit_execution_status_event(execution)
    abort_children(execution)


def _stop_with_children(stop: Callable[..., Any]) -> Callable[..., Any]:
    def stop_execution(data: dict[str, Any]) -> Any:
        response = stop(data)
        execution = sf._executions.get(data.get("executionArn"))
        if execution and execution["status"] == "ABORTED":
            abort_children(execution)
        return response

    return stop_execution


def _run_task_unless_stopped(execute: Callable[..., Any]) -> Callable[..., Any]:
    def execute_task(state_def: Any, raw_input: Any, execution: dict[str, Any], ctx: Any) -> Any:
        if must_stop(execution):
            raise Stopped
        token = current_execution.set(execution)
        try:
            return execute(state_def, raw_input, execution, ctx)
        finally:
            current_execution.reset(token)

    return execute_task


def _fail_only_if_running(fail: Callable[..., None]) -> Callable[..., None]:
    def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    return fail_execution


def _close_history(add: Callable[..., Any]) -> Callable[..., Any]:
    def add_event(execution: dict[str, Any], event_type: str, details: Any = None) -> Any:
        events = execution["events"]
        if events and events[-1]["type"] in _LAST_EVENTS:
            return events[-1]
        return add(execution, event_type, details)

    return add_event


def _sleep_until_closing(_: Callable[[float], None]) -> Callable[[float], None]:
    def scaled_sleep(seconds: float) -> None:
        shutdown.closing.wait(seconds * sf._SFN_WAIT_SCALE)

    return scaled_sleep


def _watch_nested_states(run: Callable[..., Any]) -> Callable[..., Any]:
    def run_sub_machine(states: Any, start_at: str, input_data: Any, execution: Any, ctx: Any) -> Any:
        return run(WatchedStates(states, execution), start_at, input_data, execution, ctx)

    return run_sub_machine


def _check_map_fields(run: Callable[..., Any]) -> Callable[..., Any]:
    def run_map_items(state_def: dict[str, Any], raw_input: Any, execution: Any, ctx: Any) -> Any:
        effective = sf._apply_input_path(state_def, raw_input, ctx)
        path = state_def.get("ItemsPath", "$")
        if "ItemReader" not in state_def:
            items = sf._resolve_path_or_ctx(path, effective, ctx)
            if not isinstance(items, list):
                raise sf._ExecutionError("States.Runtime", f"ItemsPath '{path}' is not an array")
        requested = distributed_map.number(state_def, "MaxConcurrency", effective, ctx)
        concurrency = distributed_map.local_concurrency(requested)
        output = run({**state_def, "MaxConcurrency": concurrency}, raw_input, execution, ctx)
        if must_stop(execution):
            raise Stopped
        return output

    return run_map_items


def _split_json_lines(parse: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def parse_items(text: str, config: dict[str, Any]) -> list[Any]:
        if config.get("InputType") != "JSONL":
            return parse(text, config)
        return [json.loads(line) for line in text.split("\n") if line.strip()]

    return parse_items


def _replace_distributed_map(_: Callable[..., Any]) -> Callable[..., Any]:
    return distributed_map.run


PATCHES = [
    Patch(
        "a state machine's TimeoutSeconds ends the execution",
        *(stepfunctions, "_run_execution", ("exec_arn",)),
        _run_with_timeout,
    ),
    Patch(
        "StopExecution stops the children of a Distributed Map",
        *(stepfunctions, "_stop_execution", ("data",)),
        _stop_with_children,
    ),
    Patch(
        "no task starts in an execution that was stopped",
        *(stepfunctions, "_execute_task", ("state_def", "raw_input", "execution", "ctx")),
        _run_task_unless_stopped,
    ),
    Patch(
        "an execution that was stopped does not become FAILED",
        *(stepfunctions, "_fail_execution", ("execution", "error", "cause")),
        _fail_only_if_running,
    ),
    Patch(
        "the last event of an execution's history is its end",
        *(stepfunctions, "_add_event", ("execution", "event_type", "details")),
        _close_history,
    ),
    Patch(
        "a Wait state ends when the emulator shuts down",
        *(stepfunctions, "_scaled_sleep", ("seconds",)),
        _sleep_until_closing,
    ),
    Patch(
        "iterations, branches and children end with their execution and are in its history",
        *(stepfunctions, "_run_sub_machine"),
        ("states", "start_at", "input_data", "execution", "ctx"),
        _watch_nested_states,
    ),
    Patch(
        "a Map reads MaxConcurrencyPath, refuses what is not an array, and starts no more workers than fit",
        *(stepfunctions, "_run_map_items", ("state_def", "raw_input", "execution", "ctx")),
        _check_map_fields,
    ),
    Patch(
        "only a line break separates the items of a JSON Lines object, and not U+2028 inside a text",
        *(stepfunctions, "_parse_reader_items", ("text", "config")),
        _split_json_lines,
    ),
    Patch(
        "a Distributed Map reads ItemBatcher and the Path fields, and fails at the first item beyond its tolerance",
        *(stepfunctions, "_run_distributed_map"),
        ("state_def", "raw_input", "effective", "iterator", "execution", "ctx"),
        _replace_distributed_map,
    ),
]
