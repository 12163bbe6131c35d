"""What the embedded AWS does otherwise than AWS and our state machine depends on, mended in one place.

Every patch point is asserted when it is applied, so that another version of ministack fails at start
with its name rather than in the middle of a run. tests/local/test_cloud.py holds the contract of each.
"""

from __future__ import annotations

import contextvars
import json
import random
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

PATCHED_VERSION = "1.5.33"
_applied = False


class Unpatchable(Exception):
    """The installed ministack is not the one that these patches mend."""


def apply() -> None:
    """Mend ministack, once per process; raises ``Unpatchable``."""
    global _applied
    if _applied:
        return
    if version("ministack") != PATCHED_VERSION:
        raise Unpatchable(
            f"ministack {version('ministack')} is installed, the patches mend {PATCHED_VERSION}; run make setup"
        )
    for patch in (
        _error_type_is_the_exception_class,
        _log_lines_are_not_waited_for,
        _retry_has_a_ceiling_and_jitter,
        _machines_time_out,
        _maps_batch_their_items,
        _loopback_counts_as_tls,
    ):
        patch()
    _applied = True


def _require(owner: Any, *names: str) -> Any:
    for name in names:
        if not hasattr(owner, name):
            raise Unpatchable(f"ministack {PATCHED_VERSION} has no {owner.__name__}.{name}; reinstall it")
    return owner


def _error_type_is_the_exception_class() -> None:
    """Retry and Catch match the class name; ministack reports Runtime.HandlerError for all."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    plain = '"error": str(e), "trace": traceback.format_exc()}'
    named = '"error": str(e), "error_type": type(e).__name__, "trace": traceback.format_exc()}'
    if plain not in _require(lambda_runtime, "_PYTHON_WORKER_SCRIPT", "Worker")._PYTHON_WORKER_SCRIPT:
        raise Unpatchable("ministack's Python worker reports errors in another way")
    lambda_runtime._PYTHON_WORKER_SCRIPT = lambda_runtime._PYTHON_WORKER_SCRIPT.replace(plain, named)
    invoke = lambda_runtime.Worker.invoke
    execute = _require(lambda_svc, "_execute_function_warm")._execute_function_warm
    last = threading.local()

    def invoke_and_remember(self: Any, *args: Any, **options: Any) -> Any:
        result = invoke(self, *args, **options)
        last.kind = result.get("error_type") if result.get("status") == "error" else None
        return result

    def execute_and_name(*args: Any, **options: Any) -> Any:
        last.kind = None
        result = execute(*args, **options)
        if result.get("error") and last.kind:
            result["body"]["errorType"] = last.kind
        return result

    lambda_runtime.Worker.invoke = invoke_and_remember
    lambda_svc._execute_function_warm = execute_and_name


def _log_lines_are_not_waited_for() -> None:
    """ministack waits 50 ms after each call for a line that may never come."""
    from ministack.core import lambda_runtime

    drain = _require(lambda_runtime.Worker, "_drain_stderr_bounded")._drain_stderr_bounded
    lambda_runtime.Worker._drain_stderr_bounded = lambda self: drain(self, first_line_wait=0.004)


def _retry_has_a_ceiling_and_jitter() -> None:
    """MaxDelaySeconds and JitterStrategy are ignored: compute the delay here."""
    from ministack.services import stepfunctions

    find = _require(stepfunctions, "_find_matching_retrier")._find_matching_retrier

    def find_with_delay(retriers: Any, error: Any, counts: Any) -> Any:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return retrier, index
        grown = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** counts.get(index, 0)
        delay = min(grown, retrier.get("MaxDelaySeconds", grown))
        if retrier.get("JitterStrategy") == "FULL":
            delay = random.uniform(0, delay)
        return {**retrier, "IntervalSeconds": delay, "BackoffRate": 1}, index

    stepfunctions._find_matching_retrier = find_with_delay


def _machines_time_out() -> None:
    """A machine's TimeoutSeconds is ignored: end the execution and publish the event, as AWS does."""
    from ministack.services import stepfunctions

    run = _require(
        stepfunctions, "_run_execution", "_emit_execution_status_event", "_add_event", "now_iso"
    )._run_execution

    def time_out(execution: dict[str, Any]) -> None:
        if execution["status"] == "RUNNING":
            execution.update(status="TIMED_OUT", stopDate=stepfunctions.now_iso(), error="States.Timeout")
            stepfunctions._add_event(execution, "ExecutionTimedOut", {})
            stepfunctions._emit_execution_status_event(execution)

    def run_in_time(execution_arn: str) -> None:
        execution = stepfunctions._executions.get(execution_arn)
        machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) if execution else None
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
        if not seconds:
            run(execution_arn)
            return
        context = contextvars.copy_context()
        timer = threading.Timer(seconds, lambda: context.run(time_out, execution))
        timer.daemon = True
        timer.start()
        try:
            run(execution_arn)
        finally:
            timer.cancel()

    stepfunctions._run_execution = run_in_time


def _maps_batch_their_items() -> None:
    """ItemBatcher and MaxConcurrencyPath are ignored: batch first, then let the stock runner go on.

    Batches still waiting when the execution was stopped are not started.
    """
    from ministack.services import stepfunctions as sfn

    run = _require(sfn, "_run_distributed_map", "_read_map_items", "_resolve_path_or_ctx")._run_distributed_map
    run_child = _require(sfn, "_run_sub_machine")._run_sub_machine

    def run_batched(
        state: Any, raw: Any, effective: Any, iterator: Any, execution: Any, context: Any
    ) -> Any:
        batcher = state.get("ItemBatcher")
        if path := state.get("MaxConcurrencyPath"):
            concurrency = sfn._resolve_path_or_ctx(path, effective, context)
            state = {**state, "MaxConcurrency": concurrency}
        if not batcher:
            return run(state, raw, effective, iterator, execution, context)
        items = sfn._read_map_items(state["ItemReader"], effective, context)
        shared = sfn._resolve_params_obj(batcher.get("BatchInput") or {}, effective, context)
        batches = [
            {"BatchInput": shared, "Items": batch}
            for batch in _batches(items, batcher["MaxItemsPerBatch"])
        ]
        replaced = {"ItemReader", "ItemBatcher", "ResultPath", "ResultSelector", "OutputPath"}
        plain = {name: value for name, value in state.items() if name not in replaced} | {"ItemsPath": "$"}
        results, _ = run(plain, batches, batches, iterator, execution, context)
        selected = sfn._apply_result_selector(state, results)
        output = sfn._apply_result_path(state, raw, selected)
        return sfn._apply_output_path(state, output, context), sfn._next_or_end(state)

    def run_unless_stopped(states: Any, start: Any, value: Any, execution: Any, context: Any) -> Any:
        parent = sfn._executions.get(context.get("Execution", {}).get("Id")) or SimpleNamespace()
        if isinstance(parent, dict) and parent["status"] != "RUNNING":
            raise sfn._ExecutionError("States.TaskFailed", "the execution was stopped")
        return run_child(states, start, value, execution, context)

    sfn._run_distributed_map = run_batched
    sfn._run_sub_machine = run_unless_stopped


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _loopback_counts_as_tls() -> None:
    """Bucket policies refuse what is not TLS; here nothing leaves the machine."""
    from ministack.core import iam_evaluator

    pin: Callable[[str, bool], None] = _require(iam_evaluator, "pin_request_origin").pin_request_origin

    def pin_secure(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, secure_transport or source_ip.startswith("127."))

    iam_evaluator.pin_request_origin = pin_secure
