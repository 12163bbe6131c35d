"""Distributed Maps as AWS runs them: batches of items, children of their own, and a tolerance in items."""

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

from local.aws.executions import Stopped, running

sf: Any = stepfunctions
_INPUT_LIMIT = 256 * 1024
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


def local_width(asked: float | None) -> int:
    """Return how many children run at once: what the state asks for, within what this machine bears."""
    most = 2 * max(os.cpu_count() or 1, 2)
    return min(int(asked or most), most)


def number(state: Mapping[str, Any], name: str, effective: Any, ctx: Any) -> float | None:
    """Return the number in ``name`` or behind ``name``Path; None if the state has neither."""
    if f"{name}Path" in state:
        return sf._resolve_path_or_ctx(state[f"{name}Path"], effective, ctx)
    return state.get(name)


def run(
    state: dict[str, Any], raw_input: Any, effective: Any, iterator: dict[str, Any], execution: Any, ctx: Any
) -> tuple[Any, str | None]:
    """Run the state and return its output and the next state's name.

    Raises ministack's _ExecutionError: States.ItemReaderFailed, or
    States.ExceedToleratedFailureThreshold once more items failed than the state tolerates.
    """
    _refuse_unknown(state)
    inputs = _inputs(state, effective, ctx)
    width = local_width(number(state, "MaxConcurrency", effective, ctx))
    map_run = _MapRun(state.get("Label") or sf.new_uuid(), iterator, execution, _tolerance(state, effective, ctx))
    results = map_run.run(inputs, width)
    selected = sf._apply_result_selector(state, results)
    output = sf._apply_output_path(state, sf._apply_result_path(state, raw_input, selected), ctx)
    return output, sf._next_or_end(state)


def _refuse_unknown(state: dict[str, Any]) -> None:
    unknown = sorted(set(state) - _STATE_FIELDS | set(state.get("ItemBatcher", {})) - _BATCHER_FIELDS)
    if unknown:
        raise sf._ExecutionError("States.Runtime", f"not run by the embedded AWS: {', '.join(unknown)}")


@dataclass(frozen=True)
class _Input:
    """What one child gets, and how many items that is."""

    value: Any
    items: int


def _inputs(state: dict[str, Any], effective: Any, ctx: Any) -> list[_Input]:
    selector = state.get("ItemSelector")
    items = _items(state, effective, ctx)
    if selector:
        items = [
            sf._resolve_params_obj(selector, effective, {**ctx, "Map": {"Item": {"Index": index, "Value": item}}})
            for index, item in enumerate(items)
        ]
    if "ItemBatcher" not in state:
        return [_Input(item, 1) for item in items]
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


def _batches(batcher: dict[str, Any], items: list[Any], effective: Any, ctx: Any) -> list[_Input]:
    frame: dict[str, Any] = {}
    if "BatchInput" in batcher:
        frame["BatchInput"] = sf._resolve_params_obj(batcher["BatchInput"], effective, ctx)
    most = int(number(batcher, "MaxItemsPerBatch", effective, ctx) or len(items))
    limit = int(number(batcher, "MaxInputBytesPerBatch", effective, ctx) or _INPUT_LIMIT)
    room = limit - _bytes({**frame, "Items": []})
    batches: list[list[Any]] = []
    left = 0
    for item in items:
        size = _bytes(item) + 1
        if not batches or len(batches[-1]) >= most or size > left:
            batches.append([])
            left = room
        batches[-1].append(item)
        left -= size
    return [_Input({**frame, "Items": batch}, len(batch)) for batch in batches]


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _tolerance(state: dict[str, Any], effective: Any, ctx: Any) -> tuple[float | None, float | None]:
    return (
        number(state, "ToleratedFailurePercentage", effective, ctx),
        number(state, "ToleratedFailureCount", effective, ctx),
    )


@dataclass
class _MapRun:
    """One run of the state; what DescribeMapRun and ListExecutions tell of it moves as it runs."""

    label: str
    iterator: dict[str, Any]
    parent: dict[str, Any]
    tolerance: tuple[float | None, float | None]
    record: dict[str, Any] = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        _, _, _, region, account, _, machine = self.parent["stateMachineArn"].split(":")[:7]
        self.prefix, self.path = f"arn:aws:states:{region}:{account}", f"{machine}/{self.label}"
        percentage, count = self.tolerance
        self.record = {
            "mapRunArn": f"{self.prefix}:mapRun:{self.path}:{sf.new_uuid()}",
            "executionArn": self.parent["executionArn"],
            "status": "RUNNING",
            "startDate": sf.now_iso(),
            "toleratedFailurePercentage": float(percentage or 0),
            "toleratedFailureCount": int(count or 0),
            "itemCounts": dict.fromkeys(_COUNTS, 0),
            "executionCounts": dict.fromkeys(_COUNTS, 0),
            "redriveCount": 0,
            "_stateMachineArn": f"{self.prefix}:stateMachine:{self.path}",
        }
        sf._map_runs[self.record["mapRunArn"]] = self.record

    def run(self, inputs: list[_Input], width: int) -> list[Any]:
        """Run a child for each input, ``width`` at a time, and return their outputs in order."""
        self.record["maxConcurrency"] = width
        for one in inputs:
            self._count(one, pending=1, total=1)
        with ThreadPoolExecutor(width) as pool:
            children = [pool.submit(contextvars.copy_context().run, self._child, one) for one in inputs]
        status = self.record["status"]
        if status == "RUNNING":
            status = "SUCCEEDED" if running(self.parent) else "ABORTED"
        self.record.update(status=status, stopDate=sf.now_iso())
        if status == "ABORTED":
            raise Stopped
        if status == "FAILED":
            raise sf._ExecutionError(
                "States.ExceedToleratedFailureThreshold",
                "The specified tolerated failure threshold was exceeded",
            )
        return [child.result() for child in children]

    def _child(self, one: _Input) -> Any:
        if self.record["status"] != "RUNNING" or not running(self.parent):
            self._count(one, pending=-1, aborted=1)
            return None
        child, ctx = self._execution(one)
        self._count(one, pending=-1, running=1)
        try:
            result = sf._run_sub_machine(self.iterator["States"], self.iterator["StartAt"], one.value, child, ctx)
        except Stopped:
            self._end(child, one, "ABORTED")
        except sf._ExecutionError as error:
            self._end(child, one, "FAILED", error=error.error, cause=error.cause)
        except Exception as error:  # noqa: BLE001  (whatever breaks in the interpreter ends this child only)
            self._end(child, one, "FAILED", error="States.Runtime", cause=str(error))
        else:
            self._end(child, one, "SUCCEEDED", output=json.dumps(result))
            return result
        return None

    def _execution(self, one: _Input) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the child and its context object, in which nothing of the parent's is left."""
        name, start = sf.new_uuid(), sf.now_iso()
        child = {
            "executionArn": f"{self.prefix}:execution:{self.path}:{name}",
            "stateMachineArn": self.record["_stateMachineArn"],
            "name": name,
            "status": "RUNNING",
            "startDate": start,
            "stopDate": None,
            "input": json.dumps(one.value),
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
                "Input": one.value,
                "Name": name,
                "StartTime": start,
            },
            "StateMachine": {"Id": child["stateMachineArn"], "Name": self.path},
            "variables": {},
        }
        return child, ctx

    def _end(self, child: dict[str, Any], one: _Input, status: str, **outcome: str) -> None:
        if running(child):
            child.update(status=status, stopDate=sf.now_iso(), **outcome)
        elif child["status"] == "RUNNING":
            child.update(status="ABORTED", stopDate=sf.now_iso())
        self._count(one, running=-1, **{child["status"].lower(): 1})
        if child["status"] == "FAILED" and self._exceeded():
            self.record["status"] = "FAILED"

    def _count(self, one: _Input, **changes: int) -> None:
        with self.lock:
            for name, change in changes.items():
                self.record["executionCounts"][name] += change
                self.record["itemCounts"][name] += change * one.items

    def _exceeded(self) -> bool:
        """Whether more items failed than tolerated; without a tolerance, whether any did."""
        counts, (percentage, count) = self.record["itemCounts"], self.tolerance
        allowed = [float(count)] if count is not None else []
        if percentage is not None:
            allowed.append(percentage * counts["total"] / 100)
        return counts["failed"] > min(allowed, default=0)
