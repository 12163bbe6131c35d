"""Where ministack differs from AWS in what the pipeline needs, it is mended here and nowhere else.

Each entry of ``PATCHES`` names the difference, and the shape of what it replaces. Another version
of ministack whose code no longer has that shape is refused at start, instead of going wrong later.
The modules are found by name when the patches are applied, because ministack reads its settings
from the environment while it is being imported.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import importlib
import inspect
import ipaddress
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, NamedTuple

TESTED_VERSION = "1.5.33"

_STATES = "ministack.services.stepfunctions"
_LAMBDA = "ministack.services.lambda_svc"
_RUNTIME = "ministack.core.lambda_runtime"


class PatchPointMoved(RuntimeError):
    """This version of ministack is not the one that the patches were written for."""


class Patch(NamedTuple):
    """``replace`` gets what stands at ``owner.attribute`` and returns what takes its place.

    ``shape`` is the parameters of a function, or the pieces that a text must contain.
    """

    why: str
    owner: str
    attribute: str
    shape: tuple[str, ...]
    replace: Callable[[Any], Any]


def apply() -> None:
    """Apply every patch, once per process."""
    if _applied.is_set():
        return
    for patch in PATCHES:
        _require(patch)
    for patch in PATCHES:
        owner = _find(patch.owner)
        setattr(owner, patch.attribute, patch.replace(getattr(owner, patch.attribute)))
    _applied.set()


def open_for_work() -> None:
    """Let executions and workers start, after ``end_all_work`` as well."""
    _closing.clear()


def end_all_work(patience: float = 10) -> None:
    """End every execution and every Lambda worker process; none starts any more."""
    _closing.set()
    deadline = time.monotonic() + patience
    while True:
        _find(_RUNTIME).reset()
        if not (_executing or _starting) or time.monotonic() > deadline:
            return
        time.sleep(0.02)


_applied = threading.Event()
_closing = threading.Event()
_executing: set[threading.Thread] = set()
_starting: set[threading.Thread] = set()


def _find(path: str) -> Any:
    """Return the module, or the class after a colon."""
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


def _require(patch: Patch) -> None:
    if not _has_shape(getattr(_find(patch.owner), patch.attribute, None), patch.shape):
        raise PatchPointMoved(
            f"ministack {metadata.version('ministack')} has no {patch.owner}.{patch.attribute} with "
            f"{', '.join(patch.shape)}; the patch ({patch.why}) was written for {TESTED_VERSION}"
        )


def _has_shape(original: Any, shape: tuple[str, ...]) -> bool:
    if isinstance(original, str):
        return all(piece in original for piece in shape)
    return callable(original) and tuple(inspect.signature(original).parameters) == shape


@contextlib.contextmanager
def _listed(threads: set[threading.Thread]) -> Iterator[None]:
    threads.add(threading.current_thread())
    try:
        yield
    finally:
        threads.discard(threading.current_thread())


# Lambda

_REPORT = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_REPORT_AND_STAY = (
    '{"status": "ok", "failure": {"errorMessage": str(e), "errorType": type(e).__name__, '
    '"stackTrace": traceback.format_exc().splitlines()}}'
)
_LAYER_FIRST = ("sys.path.insert(0, _py)", "sys.path.insert(0, _ld)")
_failure = threading.local()


def _report_exceptions_by_name(script: str) -> str:
    # As a success, because after an error ministack ends the worker, and AWS keeps it.
    return script.replace(_REPORT, _REPORT_AND_STAY)


def _put_layers_last(script: str) -> str:
    for line in _LAYER_FIRST:
        script = script.replace(line, line.replace("insert(0, ", "append("))
    return script


def _note_failure(invoke: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def noting(*args: Any, **kwargs: Any) -> dict[str, Any]:
        response = invoke(*args, **kwargs)
        _failure.payload = response.pop("failure", None)
        if _failure.payload:
            response |= {
                "status": "error",
                "error": _failure.payload["errorMessage"],
                "trace": "\n".join(_failure.payload["stackTrace"]),
            }
        return response

    return noting


def _report_failure(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def reporting(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        _failure.payload = None
        response = execute(func, event, request_id)
        if response.get("error") and _failure.payload:
            response["body"] = _failure.payload
        return response

    return reporting


def _wait_less_for_logs(drain: Callable[..., str]) -> Callable[..., str]:
    def draining(worker: Any) -> str:
        return drain(worker, first_line_wait=0.004)

    return draining


def _start_only_while_open(spawn: Callable[..., None]) -> Callable[..., None]:
    def spawning(worker: Any) -> None:
        with _listed(_starting):
            if _closing.is_set():
                raise RuntimeError("the embedded AWS is being closed")
            spawn(worker)
            if _closing.is_set():
                worker.kill()
                raise RuntimeError("the embedded AWS is being closed")

    return spawning


# Step Functions: how an execution ends


def _end_in_time(run: Callable[[str], None]) -> Callable[[str], None]:
    def running(arn: str) -> None:
        states = _find(_STATES)
        execution = states._executions.get(arn)
        machine = execution and states._state_machines.get(execution["stateMachineArn"])
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
        alarm = threading.Timer(
            seconds or threading.TIMEOUT_MAX,
            contextvars.copy_context().run,
            (_time_out, execution),
        )
        alarm.daemon = True
        if seconds:
            alarm.start()
        with _listed(_executing):
            run(arn)
        alarm.cancel()

    return running


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] != "RUNNING":
        return
    states = _find(_STATES)
    execution |= {"status": "TIMED_OUT", "stopDate": states.now_iso()}
    details = {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
    states._add_event(execution, "ExecutionTimedOut", details)
    states._emit_execution_status_event(execution)
    _abort_children(execution)


def _stop_children_too(stop: Callable[..., Any]) -> Callable[..., Any]:
    def stopping(data: dict[str, Any]) -> Any:
        response = stop(data)
        execution = _find(_STATES)._executions.get(data.get("executionArn"))
        if execution and execution["status"] == "ABORTED":
            _abort_children(execution)
        return response

    return stopping


def _abort_children(parent: dict[str, Any]) -> None:
    """Abort what was running when the parent was stopped; a child that had ended stays as it is."""
    states = _find(_STATES)
    runs = {arn: run for arn, run in states._map_runs.items() if _belongs_to(run, parent)}
    for run in runs.values():
        if run.get("stopDate") is None or run["stopDate"] >= parent["stopDate"]:
            run |= {"status": "ABORTED", "stopDate": parent["stopDate"]}
    for child in list(states._executions.values()):
        if child.get("mapRunArn") in runs and (child["stopDate"] or "9") >= parent["stopDate"]:
            child |= {"status": "ABORTED", "stopDate": parent["stopDate"], "output": None}


def _belongs_to(run: dict[str, Any], parent: dict[str, Any]) -> bool:
    return run["executionArn"] == parent["executionArn"]


def _is_over(execution: dict[str, Any]) -> bool:
    if _closing.is_set() or execution["status"] != "RUNNING":
        return True
    states = _find(_STATES)
    run = states._map_runs.get(execution.get("mapRunArn"))
    parent = run and states._executions.get(run["executionArn"])
    return bool(parent) and _is_over(parent)


_current: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("execution", default=None)


def _run_tasks_only_while_running(execute: Callable[..., Any]) -> Callable[..., Any]:
    def executing(state_def: Any, raw_input: Any, execution: dict[str, Any], ctx: Any) -> Any:
        if _is_over(execution):
            raise _find(_STATES)._ExecutionError("States.TaskFailed", "the execution has ended")
        token = _current.set(execution)
        try:
            return execute(state_def, raw_input, execution, ctx)
        finally:
            _current.reset(token)

    return executing


def _end_once(fail: Callable[..., None]) -> Callable[..., None]:
    def failing(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    return failing


_LAST_EVENTS = {
    *("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"),
}


def _end_history_with_the_end(add: Callable[..., Any]) -> Callable[..., Any]:
    def adding(execution: dict[str, Any], event_type: str, details: Any = None) -> Any:
        events = execution["events"]
        if events and events[-1]["type"] in _LAST_EVENTS:
            return events[-1]
        return add(execution, event_type, details)

    return adding


def _sleep_until_closed(sleep: Callable[[float], None]) -> Callable[[float], None]:
    def sleeping(seconds: float) -> None:
        _closing.wait(seconds * _find(_STATES)._SFN_WAIT_SCALE)

    return sleeping


# Step Functions: Retry


def _back_off_as_told(find: Callable[..., Any]) -> Callable[..., Any]:
    def finding(retriers: list[Any], error: str, counts: dict[int, int]) -> Any:
        execution = _current.get()
        if _closing.is_set() or (execution and _is_over(execution)):
            return None, -1
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return None, -1
        delay = _delay(retrier, counts.get(index, 0))
        return {**retrier, "IntervalSeconds": delay, "BackoffRate": 1}, index

    return finding


def _delay(retrier: dict[str, Any], retries: int) -> float:
    delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retries
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    return random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay


# Step Functions: Distributed Map

_BATCHER = {"MaxItemsPerBatch", "BatchInput"}
_PASSED_ON = {
    *("Label", "ToleratedFailurePercentage", "ToleratedFailureCount", "MaxConcurrency"),
    *("ResultSelector", "ResultPath", "OutputPath", "Next", "End"),
}
_PREPARED = {
    *("Type", "Comment", "InputPath", "ItemsPath", "ItemReader", "ItemSelector", "ItemBatcher"),
    *("ItemProcessor", "MaxConcurrencyPath", "Retry", "Catch"),
}


def _run_every_field(run: Callable[..., Any]) -> Callable[..., Any]:
    """Make the children's inputs here, and hand ministack a map over those."""

    def running(
        state_def: dict[str, Any],
        raw_input: Any,
        effective: Any,
        iterator: Any,
        execution: dict[str, Any],
        ctx: dict[str, Any],
    ) -> Any:
        _refuse_unknown(state_def)
        inputs = _batched(state_def, effective, _selected(state_def, effective, ctx), ctx)
        state = {name: value for name, value in state_def.items() if name in _PASSED_ON}
        if path := state_def.get("MaxConcurrencyPath"):
            state["MaxConcurrency"] = _resolve(path, effective, ctx)
        try:
            return run(state, raw_input, inputs, iterator, execution, ctx)
        finally:
            if execution["status"] != "RUNNING":
                _abort_children(execution)

    return running


def _refuse_unknown(state_def: dict[str, Any]) -> None:
    batcher = state_def.get("ItemBatcher", {})
    unknown = sorted(set(state_def) - _PREPARED - _PASSED_ON | set(batcher) - _BATCHER)
    if unknown:
        raise _find(_STATES)._ExecutionError("States.Runtime", f"not run by the embedded AWS: {', '.join(unknown)}")


def _selected(state_def: dict[str, Any], effective: Any, ctx: dict[str, Any]) -> list[Any]:
    states = _find(_STATES)
    if reader := state_def.get("ItemReader"):
        items = states._read_map_items(reader, effective, ctx)
    else:
        items = _resolve(state_def.get("ItemsPath", "$"), effective, ctx)
    selector = state_def.get("ItemSelector")
    if not selector:
        return items
    context = {name: copy.deepcopy(value) for name, value in ctx.items() if name != "Map"}
    return [
        states._resolve_params_obj(selector, effective, {**context, "Map": {"Item": {"Index": index, "Value": item}}})
        for index, item in enumerate(items)
    ]


def _batched(state_def: dict[str, Any], effective: Any, items: list[Any], ctx: dict[str, Any]) -> list[Any]:
    batcher = state_def.get("ItemBatcher")
    if not batcher:
        return items
    size = batcher["MaxItemsPerBatch"]
    template = batcher.get("BatchInput")
    common = _find(_STATES)._resolve_params_obj(template, effective, ctx) if template else None
    extra = {} if common is None else {"BatchInput": common}
    return [{**extra, "Items": items[at : at + size]} for at in range(0, len(items), size)]


def _resolve(path: str, data: Any, ctx: dict[str, Any]) -> Any:
    return _find(_STATES)._resolve_path_or_ctx(path, data, ctx)


# Events

_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)


def _note_version(fire: Callable[..., None]) -> Callable[..., None]:
    def firing(*args: Any, version_id: str | None = None, **kwargs: Any) -> None:
        token = _version.set(version_id)
        try:
            fire(*args, version_id=version_id, **kwargs)
        finally:
            _version.reset(token)

    return firing


def _name_version(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def dispatching(event: dict[str, Any], view: Any = None) -> Any:
        version = _version.get()
        if version and event["Source"] == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version
            event = {**event, "Detail": json.dumps(detail)}
        return dispatch(event, view)

    return dispatching


# Access


def _trust_loopback(pin: Callable[..., None]) -> Callable[..., None]:
    def pinning(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, secure_transport or ipaddress.ip_address(source_ip).is_loopback)

    return pinning


PATCHES = [
    Patch(
        "a Lambda's errorType is its exception's class, and the worker lives on",
        *(_RUNTIME, "_PYTHON_WORKER_SCRIPT", (_REPORT,)),
        _report_exceptions_by_name,
    ),
    Patch(
        "a layer synthesised without its wheels does not hide this machine's packages",
        *(_RUNTIME, "_PYTHON_WORKER_SCRIPT", _LAYER_FIRST),
        _put_layers_last,
    ),
    Patch(
        "the worker's report of an exception is a failed invocation",
        *(f"{_RUNTIME}:Worker", "invoke"),
        (
            *("self", "event", "request_id", "trace_id", "depth", "durable"),
            "invoked_function_arn",
        ),
        _note_failure,
    ),
    Patch(
        "a failed invocation answers with the worker's report",
        *(_LAMBDA, "_execute_function_warm", ("func", "event", "request_id")),
        _report_failure,
    ),
    Patch(
        "an invocation that logs nothing does not wait 50 ms for a line",
        *(f"{_RUNTIME}:Worker", "_drain_stderr_bounded"),
        ("self", "first_line_wait", "idle_confirm", "hard_cap"),
        _wait_less_for_logs,
    ),
    Patch(
        "no worker starts while everything is being ended",
        *(f"{_RUNTIME}:Worker", "_spawn", ("self",)),
        _start_only_while_open,
    ),
    Patch(
        "a state machine's TimeoutSeconds ends the execution",
        *(_STATES, "_run_execution", ("exec_arn",)),
        _end_in_time,
    ),
    Patch(
        "StopExecution stops the children of a Distributed Map",
        *(_STATES, "_stop_execution", ("data",)),
        _stop_children_too,
    ),
    Patch(
        "no task starts in an execution that was stopped",
        *(_STATES, "_execute_task", ("state_def", "raw_input", "execution", "ctx")),
        _run_tasks_only_while_running,
    ),
    Patch(
        "an execution that was stopped does not become a failed one",
        *(_STATES, "_fail_execution", ("execution", "error", "cause")),
        _end_once,
    ),
    Patch(
        "the last event of an execution is its end",
        *(_STATES, "_add_event", ("execution", "event_type", "details")),
        _end_history_with_the_end,
    ),
    Patch(
        "a wait ends when everything is being ended",
        *(_STATES, "_scaled_sleep", ("seconds",)),
        _sleep_until_closed,
    ),
    Patch(
        "Retry obeys MaxDelaySeconds and JitterStrategy, and ends with the execution",
        *(_STATES, "_find_matching_retrier", ("retriers", "error", "retry_counts")),
        _back_off_as_told,
    ),
    Patch(
        "a Distributed Map obeys ItemBatcher and MaxConcurrencyPath, and refuses what it ignores",
        *(_STATES, "_run_distributed_map"),
        ("state_def", "raw_input", "effective", "iterator", "execution", "ctx"),
        _run_every_field,
    ),
    Patch(
        "the version of an object reaches its event",
        *("ministack.services.s3", "_fire_s3_event"),
        (
            *("bucket_name", "key", "event_name", "size", "etag", "deletion_type"),
            *("restore_event_data", "version_id", "sequencer", "object_extra", "record_extra"),
        ),
        _note_version,
    ),
    Patch(
        "Object Created names the object's version",
        *("ministack.services.eventbridge", "_dispatch_event", ("event", "view")),
        _name_version,
    ),
    Patch(
        "plain http within this machine counts as TLS for aws:SecureTransport",
        *("ministack.app", "pin_request_origin", ("source_ip", "secure_transport")),
        _trust_loopback,
    ),
]
