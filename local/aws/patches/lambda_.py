"""Lambda: errors by exception class and of throttling, workers that survive an exception, and no waiting for logs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, stepfunctions

from local.aws import shutdown
from local.aws.patches import Patch

LOG_WAIT_SECONDS = 0.004

# ministack ends a worker that reports an error and AWS keeps it, so the worker reports a success with a failure in it.
_ERROR_REPORT = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_FAILURE_REPORT = (
    '{"status": "ok", "failure": {"errorMessage": str(e), "errorType": type(e).__name__, '
    '"stackTrace": traceback.format_exc().splitlines()}}'
)
_UNKNOWN_CAUSE = "The cause could not be determined because Lambda did not return an error type. Returned payload:"
"""Cause of Lambda.Unknown, from public reports; AWS documents only the name of the error."""
_last_invocation = threading.local()


def _report_exception_class(worker_script: str) -> str:
    return worker_script.replace(_ERROR_REPORT, _FAILURE_REPORT)


def _keep_failure(invoke: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def invoke_and_keep_failure(*args: Any, **kwargs: Any) -> dict[str, Any]:
        response = invoke(*args, **kwargs)
        failure = _last_invocation.failure = response.pop("failure", None)
        if failure:
            trace = "\n".join(failure["stackTrace"])
            response |= {"status": "error", "error": failure["errorMessage"], "trace": trace}
        return response

    return invoke_and_keep_failure


def _answer_with_failure(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def execute_and_answer(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        _last_invocation.failure = None
        with shutdown.track():
            response = execute(func, event, request_id)
        if response.get("error") and _last_invocation.failure:
            response["body"] = _last_invocation.failure
        return response

    return execute_and_answer


def _name_lambda_errors(call: Callable[..., Any]) -> Callable[..., Any]:
    def call_lambda(func_ref: str, event: Any) -> Any:
        try:
            return call(func_ref, event)
        except _states._ExecutionError as error:
            if error.error == "Runtime.HandlerError":  # The worker did not report an exception: its process ended.
                payload = json.dumps({"errorMessage": "Error: Runtime exited without providing a reason"})
                raise _states._ExecutionError("Lambda.Unknown", f"{_UNKNOWN_CAUSE} {payload}") from None
            if error.error == "Lambda.Unknown" and '"TooManyRequestsException"' in error.cause:
                message = json.loads(error.cause)["message"]
                raise _states._ExecutionError("Lambda.TooManyRequestsException", message) from None
            raise

    return call_lambda


def _shorten_log_wait(drain: Callable[..., str]) -> Callable[..., str]:
    def drain_quickly(worker: Any) -> str:
        return drain(worker, first_line_wait=LOG_WAIT_SECONDS)

    return drain_quickly


def _spawn_unless_closing(spawn: Callable[..., None]) -> Callable[..., None]:
    def spawn_worker(worker: Any) -> None:
        with shutdown.track():
            _refuse_if_closing()
            # The layers are synthesised empty and unpacking one takes 70 ms; the packages come from the venv.
            worker.config = {**worker.config, "Layers": []}
            spawn(worker)
            try:
                _refuse_if_closing()
            except RuntimeError:
                worker.kill()
                raise

    return spawn_worker


def _refuse_if_closing() -> None:
    if shutdown.closing.is_set():
        raise RuntimeError("the AWS emulator is shutting down")


_worker: Any = lambda_runtime.Worker
_states: Any = stepfunctions

PATCHES = [
    Patch(
        "the errorType of a failed invocation is the exception's class, and the worker survives",
        *(lambda_runtime, "_PYTHON_WORKER_SCRIPT", (_ERROR_REPORT,)),
        _report_exception_class,
    ),
    Patch(
        "an exception that the worker reports is a failed invocation",
        *(_worker, "invoke"),
        ("self", "event", "request_id", "trace_id", "depth", "durable", "invoked_function_arn"),
        _keep_failure,
    ),
    Patch(
        "the answer of a failed invocation is the worker's report",
        *(lambda_svc, "_execute_function_warm", ("func", "event", "request_id")),
        _answer_with_failure,
    ),
    Patch(
        "Step Functions reports a throttled invocation as Lambda.TooManyRequestsException, and a process that ended as "
        "Lambda.Unknown",
        *(stepfunctions, "_call_lambda", ("func_ref", "event")),
        _name_lambda_errors,
    ),
    Patch(
        "an invocation that logs nothing does not wait 50 ms for a log line",
        *(_worker, "_drain_stderr_bounded"),
        ("self", "first_line_wait", "idle_confirm", "hard_cap"),
        _shorten_log_wait,
    ),
    Patch(
        "a worker imports packages from the venv, and none starts during shutdown",
        *(_worker, "_spawn", ("self",)),
        _spawn_unless_closing,
    ),
]
