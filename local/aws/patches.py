"""Where ministack differs from AWS in what the pipeline needs, it is mended here and nowhere else.

Each entry of ``PATCHES`` names the difference, and the shape of what it replaces. Another version
of ministack whose code no longer has that shape is refused at start, instead of going wrong later.
The modules are found by name when the patches are applied, because ministack reads its settings
from the environment while it is being imported.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
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
_S3 = "ministack.services.s3"
_EXECUTIONS = "local.aws.executions"
_MAPS = "local.aws.distributed_map"


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
_failure = threading.local()


def _report_exceptions_by_name(script: str) -> str:
    # As a success, because after an error ministack ends the worker, and AWS keeps it.
    return script.replace(_REPORT, _REPORT_AND_STAY)


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
            # Synthesised without its wheels, a layer holds nothing, and unpacking it takes 70 ms.
            worker.config = {**worker.config, "Layers": []}
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
        try:
            with _listed(_executing), contextlib.suppress(_find(_EXECUTIONS).Stopped):
                run(arn)
        finally:
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
    _find(_EXECUTIONS).abort_children(execution)


def _stop_children_too(stop: Callable[..., Any]) -> Callable[..., Any]:
    def stopping(data: dict[str, Any]) -> Any:
        response = stop(data)
        execution = _find(_STATES)._executions.get(data.get("executionArn"))
        if execution and execution["status"] == "ABORTED":
            _find(_EXECUTIONS).abort_children(execution)
        return response

    return stopping


def _is_over(execution: dict[str, Any]) -> bool:
    return _closing.is_set() or not _find(_EXECUTIONS).running(execution)


_current: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("execution", default=None)


def _run_tasks_only_while_running(execute: Callable[..., Any]) -> Callable[..., Any]:
    def executing(state_def: Any, raw_input: Any, execution: dict[str, Any], ctx: Any) -> Any:
        if _is_over(execution):
            raise _find(_EXECUTIONS).Stopped
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


# Step Functions: Map


def _watch_nested_states(run: Callable[..., Any]) -> Callable[..., Any]:
    def running(states: Any, start_at: str, input_data: Any, execution: Any, ctx: Any) -> Any:
        watched = _find(_EXECUTIONS).WatchedStates(states, execution)
        return run(watched, start_at, input_data, execution, ctx)

    return running


def _run_inline_map_as_told(run: Callable[..., Any]) -> Callable[..., Any]:
    def running(state_def: dict[str, Any], raw_input: Any, execution: Any, ctx: Any) -> Any:
        states, maps = _find(_STATES), _find(_MAPS)
        effective = states._apply_input_path(state_def, raw_input, ctx)
        path = state_def.get("ItemsPath", "$")
        if "ItemReader" not in state_def:
            items = states._resolve_path_or_ctx(path, effective, ctx)
            if not isinstance(items, list):
                raise states._ExecutionError("States.Runtime", f"ItemsPath '{path}' is not an array")
        width = maps.local_width(maps.number(state_def, "MaxConcurrency", effective, ctx))
        output = run({**state_def, "MaxConcurrency": width}, raw_input, execution, ctx)
        if _is_over(execution):
            raise _find(_EXECUTIONS).Stopped
        return output

    return running


def _run_distributed_map_as_told(run: Callable[..., Any]) -> Callable[..., Any]:
    def running(*arguments: Any) -> Any:
        return _find(_MAPS).run(*arguments)

    return functools.wraps(run)(running)


# Step Functions: paths, intrinsics, limits

_DATA_LIMIT = 256 * 1024
_TERMINAL = ("States.Runtime", "States.DataLimitExceeded")


def _refuse_missing_paths(resolve: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def resolving(path: str, data: Any) -> Any:
        value = resolve(path, data)
        if value is None and not _exists(path, data):
            shown = json.dumps(data, default=str)[:300]
            raise _find(_STATES)._ExecutionError(
                "States.Runtime", f"The JSONPath '{path}' could not be found in the input '{shown}'"
            )
        return value

    return resolving


def _exists(path: str, data: Any) -> bool:
    tokens = _find(_STATES)._parse_jsonpath_tokens(path) if path.startswith("$") else None
    for kind, key in tokens or []:
        is_there = (
            isinstance(data, dict) and key in data
            if kind == "field"
            else kind == "index" and isinstance(data, list) and key < len(data)
        )
        if not is_there:
            return False
        data = data[key]
    return tokens is not None


def _know_null_from_missing(evaluate: Callable[..., bool]) -> Callable[..., bool]:
    def evaluating(rule: dict[str, Any], data: Any, ctx: Any = None) -> bool:
        if "IsPresent" not in rule:
            return evaluate(rule, data, ctx)
        path = rule["Variable"]
        found = _exists(path[1:], ctx) if path.startswith("$$.") else _exists(path, data)
        return found == rule["IsPresent"]

    return evaluating


def _evaluate_intrinsics_as_told(execute: Callable[..., Any]) -> Callable[..., Any]:
    def executing(node: Any, data: Any, ctx: Any) -> Any:
        states, (kind, name, arguments) = _find(_STATES), node
        try:
            if name == "States.Format":
                values = [states._eval_intrinsic_arg(argument, data, ctx) for argument in arguments]
                texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
                arguments = [("str", text) for text in texts]
            return execute((kind, name, arguments), data, ctx)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise states._ExecutionError("States.IntrinsicFailure", f"{name}: {error}") from error

    return executing


def _hide_terminal_errors(matches: Callable[..., bool]) -> Callable[..., bool]:
    def matching(error_equals: list[str], error: str) -> bool:
        return error not in _TERMINAL and matches(error_equals, error)

    return matching


def _refuse_too_much_data(add: Callable[..., Any]) -> Callable[..., Any]:
    def adding(execution: dict[str, Any], event_type: str, details: Any = None) -> Any:
        for event in (details or {}).values():
            output = event.get("output") or ""
            if len(output) > _DATA_LIMIT and _bytes(output) > _DATA_LIMIT:
                raise _find(_STATES)._ExecutionError(
                    "States.DataLimitExceeded",
                    f"The state/task '{event.get('name') or event.get('resource')}' returned a result "
                    "with a size exceeding the maximum number of bytes service limit.",
                )
        return add(execution, event_type, details)

    return adding


def _bytes(text: str) -> int:
    return len(json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")).encode())


# S3


def _hide_missing_keys(read: Callable[..., Any]) -> Callable[..., Any]:
    def reading(bucket_name: str, key: str, *args: Any, **kwargs: Any) -> Any:
        response = read(bucket_name, key, *args, **kwargs)
        if response[0] != 404 or _may_list(bucket_name):
            return response
        return _find(_S3)._error("AccessDenied", "Access Denied", 403, f"/{bucket_name}/{key}")

    return functools.wraps(read)(reading)


def _may_list(bucket: str) -> bool:
    if not _find("ministack.app").AUTH:
        return True
    caller = _find("ministack.core.iam_evaluator").caller_arn()
    if ":assumed-role/" not in caller:
        return True
    role = caller.split(":assumed-role/")[1].split("/")[0]
    identity = _find("local.aws.identity").CallerIdentity()
    return identity.allowed(role, "s3:ListBucket", f"arn:aws:s3:::{bucket}")


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
        "a worker takes its packages from the venv, and none starts while everything is being ended",
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
        "iterations, branches and children end with their execution, and are in the history",
        *(_STATES, "_run_sub_machine"),
        ("states", "start_at", "input_data", "execution", "ctx"),
        _watch_nested_states,
    ),
    Patch(
        "a Map obeys MaxConcurrencyPath, takes arrays only, and starts no more workers than fit",
        *(_STATES, "_run_map_items", ("state_def", "raw_input", "execution", "ctx")),
        _run_inline_map_as_told,
    ),
    Patch(
        "a Distributed Map obeys ItemBatcher and the Path fields, and ends at the first item too many",
        *(_STATES, "_run_distributed_map"),
        ("state_def", "raw_input", "effective", "iterator", "execution", "ctx"),
        _run_distributed_map_as_told,
    ),
    Patch(
        "a path that is missing ends the execution with States.Runtime, it is not null",
        *(_STATES, "_resolve_path", ("path", "data")),
        _refuse_missing_paths,
    ),
    Patch(
        "IsPresent is true of null",
        *(_STATES, "_evaluate_rule", ("rule", "data", "ctx")),
        _know_null_from_missing,
    ),
    Patch(
        "States.Format writes true and null; an intrinsic fails as States.IntrinsicFailure",
        *(_STATES, "_exec_intrinsic", ("node", "data", "ctx")),
        _evaluate_intrinsics_as_told,
    ),
    Patch(
        "neither Catch nor Retry sees States.Runtime and States.DataLimitExceeded",
        *(_STATES, "_error_matches", ("error_equals", "error")),
        _hide_terminal_errors,
    ),
    Patch(
        "a state passes on 256 KiB at most",
        *(_STATES, "_add_event", ("execution", "event_type", "details")),
        _refuse_too_much_data,
    ),
    *(
        Patch(
            "a missing key is AccessDenied to a role that may not list the bucket",
            *(_S3, function, ("bucket_name", "key", "headers", "query_params")),
            _hide_missing_keys,
        )
        for function in ("_get_object", "_head_object")
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
