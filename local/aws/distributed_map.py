"""Distributed Map states as AWS runs them: batches of items, child executions, and a tolerance counted in items."""

from __future__ import annotations

import contextvars
import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ministack.services import stepfunctions

from local.aws.executions import Stopped, is_running

sf: Any = stepfunctions
_INPUT_LIMIT = 256 * 1024
"""Largest input of a child in bytes."""
_BATCHER_FIELDS = {
    *("BatchInput", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"),
    *("MaxItemsPerBatch", "MaxItemsPerBatchPath"),
}
_STATE_FIELDS = {
    *("Catch", "Comment", "End", "InputPath", "ItemBatcher", "ItemProcessor", "ItemReader", "ItemSelector"),
    *("ItemsPath", "Label", "MaxConcurrency", "MaxConcurrencyPath", "Next", "OutputPath", "ResultPath"),
    *("ResultSelector", "Retry", "ToleratedFailureCount", "ToleratedFailureCountPath", "Type"),
    *("ToleratedFailurePercentage", "ToleratedFailurePercentagePath"),
}
_COUNTS = (
    *("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total"),
    *("resultsWritten", "failuresNotRedrivable", "pendingRedrive"),
)


def local_concurrency(requested: float | None) -> int:
    """Return how many children run at the same time: as many as requested, at most two for each CPU."""
    limit = 2 * max(os.cpu_count() or 1, 2)
    return min(int(requested or limit), limit)


def number(state: Mapping[str, Any], name: str, effective: Any, ctx: Any) -> float | None:
    """Return the state's field ``name``, or the value that its field ``<name>Path`` points to, or None."""
    if f"{name}Path" in state:
        return sf._resolve_path_or_ctx(state[f"{name}Path"], effective, ctx)
    return state.get(name)


def run(
    state: dict[str, Any], raw_input: Any, effective: Any, iterator: dict[str, Any], execution: Any, ctx: Any
) -> tuple[Any, str | None]:
    """Run the state and return its output and the next state's name.

    Raise ministack's _ExecutionError: States.ItemReaderFailed, or
    States.ExceedToleratedFailureThreshold once more items failed than the state tolerates.
    """
    _refuse_unknown_fields(state)
    inputs = _child_inputs(state, effective, ctx)
    concurrency = local_concurrency(number(state, "MaxConcurrency", effective, ctx))
    tolerance = _Tolerance(
        number(state, "ToleratedFailurePercentage", effective, ctx),
        number(state, "ToleratedFailureCount", effective, ctx),
    )
    map_run = _MapRun(state.get("Label") or sf.new_uuid(), iterator, execution, tolerance)
    results = map_run.run(inputs, concurrency)
    selected = sf._apply_result_selector(state, results)
    output = sf._apply_output_path(state, sf._apply_result_path(state, raw_input, selected), ctx)
    return output, sf._next_or_end(state)


def _refuse_unknown_fields(state: dict[str, Any]) -> None:
    unknown = sorted(set(state) - _STATE_FIELDS | set(state.get("ItemBatcher", {})) - _BATCHER_FIELDS)
    if unknown:
        raise sf._ExecutionError("States.Runtime", f"the AWS emulator does not support: {', '.join(unknown)}")


@dataclass(frozen=True)
class _ChildInput:
    """Input of one child execution and the number of items in it."""

    value: Any
    items: int


@dataclass(frozen=True)
class _Tolerance:
    """Share (0-100) and number of items that may fail; None if the state does not set it."""

    percentage: float | None
    count: float | None

    def is_exceeded(self, failed: int, total: int) -> bool:
        """Return whether more items failed than both limits allow; without a limit none may fail."""
        limits = [float(self.count)] if self.count is not None else []
        if self.percentage is not None:
            limits.append(self.percentage * total / 100)
        return failed > min(limits, default=0)


def _child_inputs(state: dict[str, Any], effective: Any, ctx: Any) -> list[_ChildInput]:
    selector = state.get("ItemSelector")
    items = _items(state, effective, ctx)
    if selector:
        items = [
            sf._resolve_params_obj(selector, effective, {**ctx, "Map": {"Item": {"Index": index, "Value": item}}})
            for index, item in enumerate(items)
        ]
    if "ItemBatcher" not in state:
        return [_ChildInput(item, 1) for item in items]
    return _batches(state["ItemBatcher"], items, effective, ctx)


def _items(state: dict[str, Any], effective: Any, ctx: Any) -> list[Any]:
    if "ItemReader" not in state:
        return sf._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, ctx)
    try:
        items = sf._read_map_items(state["ItemReader"], effective, ctx)
    except ValueError as error:
        raise sf._ExecutionError("States.ItemReaderFailed", f"The dataset cannot be parsed: {error}") from error
    if not isinstance(items, list):
        raise sf._ExecutionError("States.ItemReaderFailed", "The dataset is not an array")
    return items


def _batches(batcher: dict[str, Any], items: list[Any], effective: Any, ctx: Any) -> list[_ChildInput]:
    """Group items into batches within the batcher's limits of items and bytes."""
    frame: dict[str, Any] = {}
    if "BatchInput" in batcher:
        frame["BatchInput"] = sf._resolve_params_obj(batcher["BatchInput"], effective, ctx)
    item_limit = int(number(batcher, "MaxItemsPerBatch", effective, ctx) or len(items))
    byte_limit = int(number(batcher, "MaxInputBytesPerBatch", effective, ctx) or _INPUT_LIMIT)
    capacity = byte_limit - _json_size({**frame, "Items": []})
    batches: list[list[Any]] = []
    free = 0
    for item in items:
        size = _json_size(item) + 1
        if not batches or len(batches[-1]) >= item_limit or size > free:
            batches.append([])
            free = capacity
        batches[-1].append(item)
        free -= size
    return [_ChildInput({**frame, "Items": batch}, len(batch)) for batch in batches]


def _json_size(value: Any) -> int:
    """Return the bytes of a value as compact JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@dataclass
class _MapRun:
    """One run of the state; DescribeMapRun and ListExecutions show its progress."""

    label: str
    iterator: dict[str, Any]
    parent: dict[str, Any]
    tolerance: _Tolerance
    record: dict[str, Any] = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        _, _, _, region, account, _, machine = self.parent["stateMachineArn"].split(":")[:7]
        self.prefix, self.path = f"arn:aws:states:{region}:{account}", f"{machine}/{self.label}"
        self.record = {
            "mapRunArn": f"{self.prefix}:mapRun:{self.path}:{sf.new_uuid()}",
            "executionArn": self.parent["executionArn"],
            "status": "RUNNING",
            "startDate": sf.now_iso(),
            "toleratedFailurePercentage": float(self.tolerance.percentage or 0),
            "toleratedFailureCount": int(self.tolerance.count or 0),
            "itemCounts": dict.fromkeys(_COUNTS, 0),
            "executionCounts": dict.fromkeys(_COUNTS, 0),
            "redriveCount": 0,
            "_stateMachineArn": f"{self.prefix}:stateMachine:{self.path}",
        }
        sf._map_runs[self.record["mapRunArn"]] = self.record

    def run(self, inputs: list[_ChildInput], concurrency: int) -> list[Any]:
        """Run a child for each input, ``concurrency`` at a time, and return their outputs in order."""
        self.record["maxConcurrency"] = concurrency
        for child_input in inputs:
            self._count(child_input, pending=1, total=1)
        with ThreadPoolExecutor(concurrency) as pool:
            children = [
                pool.submit(contextvars.copy_context().run, self._run_child, child_input) for child_input in inputs
            ]
        status = self.record["status"]
        if status == "RUNNING":
            status = "SUCCEEDED" if is_running(self.parent) else "ABORTED"
        self.record.update(status=status, stopDate=sf.now_iso())
        if status == "ABORTED":
            raise Stopped
        if status == "FAILED":
            raise sf._ExecutionError(
                "States.ExceedToleratedFailureThreshold",
                "The specified tolerated failure threshold was exceeded",
            )
        return [child.result() for child in children]

    def _run_child(self, child_input: _ChildInput) -> Any:
        if self.record["status"] != "RUNNING" or not is_running(self.parent):
            self._count(child_input, pending=-1, aborted=1)
            return None
        child, ctx = self._new_execution(child_input)
        self._count(child_input, pending=-1, running=1)
        try:
            result = sf._run_sub_machine(
                self.iterator["States"], self.iterator["StartAt"], child_input.value, child, ctx
            )
        except Stopped:
            self._end(child, child_input, "ABORTED")
        except sf._ExecutionError as error:
            self._end(child, child_input, "FAILED", error=error.error, cause=error.cause)
        except Exception as error:  # noqa: BLE001 - any failure of the interpreter ends only this child
            self._end(child, child_input, "FAILED", error="States.Runtime", cause=str(error))
        else:
            self._end(child, child_input, "SUCCEEDED", output=json.dumps(result))
            return result
        return None

    def _new_execution(self, child_input: _ChildInput) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the child and its context object, which has nothing of the parent's."""
        name, start = sf.new_uuid(), sf.now_iso()
        child = {
            "executionArn": f"{self.prefix}:execution:{self.path}:{name}",
            "stateMachineArn": self.record["_stateMachineArn"],
            "name": name,
            "status": "RUNNING",
            "startDate": start,
            "stopDate": None,
            "input": json.dumps(child_input.value),
            "output": None,
            "mapRunArn": self.record["mapRunArn"],
            "events": [],
            "testCase": "",
            "mockAttempts": {},
            "_parent": self.parent,
            "_map_run": self.record,
        }
        sf._executions[child["executionArn"]] = child
        ctx = {
            "QueryLanguage": "JSONPath",
            "Execution": {
                "Id": child["executionArn"],
                "Input": child_input.value,
                "Name": name,
                "StartTime": start,
            },
            "StateMachine": {"Id": child["stateMachineArn"], "Name": self.path},
            "variables": {},
        }
        return child, ctx

    def _end(self, child: dict[str, Any], child_input: _ChildInput, status: str, **outcome: str) -> None:
        if is_running(child):
            child.update(status=status, stopDate=sf.now_iso(), **outcome)
        elif child["status"] == "RUNNING":
            child.update(status="ABORTED", stopDate=sf.now_iso())
        self._count(child_input, running=-1, **{child["status"].lower(): 1})
        counts = self.record["itemCounts"]
        if child["status"] == "FAILED" and self.tolerance.is_exceeded(counts["failed"], counts["total"]):
            self.record["status"] = "FAILED"

    def _count(self, child_input: _ChildInput, **changes: int) -> None:
        with self.lock:
            for name, change in changes.items():
                self.record["executionCounts"][name] += change
                self.record["itemCounts"][name] += change * child_input.items
