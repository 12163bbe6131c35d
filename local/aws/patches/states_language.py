"""Amazon States Language: retries, paths, intrinsic functions and the size limit of a state's output.

Rules: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions

from local.aws import shutdown
from local.aws.patches import Patch
from local.aws.patches.states import current_execution, must_stop
from local.aws.retry_delay import retry_delay

sf: Any = stepfunctions

OUTPUT_LIMIT = 256 * 1024
"""Largest output of a state in bytes."""
_TERMINAL_ERRORS = ("States.Runtime", "States.DataLimitExceeded")


def _apply_backoff_fields(find: Callable[..., Any]) -> Callable[..., Any]:
    def find_matching_retrier(retriers: list[Any], error: str, retry_counts: dict[int, int]) -> Any:
        execution = current_execution.get()
        if shutdown.closing.is_set() or (execution and must_stop(execution)):
            return None, -1
        retrier, index = find(retriers, error, retry_counts)
        if retrier is None:
            return None, -1
        delay = retry_delay(retrier, retry_counts.get(index, 0))
        return {**retrier, "IntervalSeconds": delay, "BackoffRate": 1}, index

    return find_matching_retrier


def _refuse_missing_paths(resolve: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def resolve_path(path: str, data: Any) -> Any:
        value = resolve(path, data)
        if value is None and not _path_exists(path, data):
            shown = json.dumps(data, default=str)[:300]
            raise sf._ExecutionError(
                "States.Runtime", f"The JSONPath '{path}' could not be found in the input '{shown}'"
            )
        return value

    return resolve_path


def _path_exists(path: str, data: Any) -> bool:
    tokens = sf._parse_jsonpath_tokens(path) if path.startswith("$") else None
    for kind, key in tokens or []:
        exists = (
            isinstance(data, dict) and key in data
            if kind == "field"
            else kind == "index" and isinstance(data, list) and key < len(data)
        )
        if not exists:
            return False
        data = data[key]
    return tokens is not None


def _distinguish_null_from_missing(evaluate: Callable[..., bool]) -> Callable[..., bool]:
    def evaluate_rule(rule: dict[str, Any], data: Any, ctx: Any = None) -> bool:
        if "IsPresent" not in rule:
            return evaluate(rule, data, ctx)
        path = rule["Variable"]
        is_present = _path_exists(path[1:], ctx) if path.startswith("$$.") else _path_exists(path, data)
        return is_present == rule["IsPresent"]

    return evaluate_rule


def _format_and_fail_intrinsics(execute: Callable[..., Any]) -> Callable[..., Any]:
    def execute_intrinsic(node: Any, data: Any, ctx: Any) -> Any:
        kind, name, arguments = node
        try:
            if name == "States.Format":
                values = [sf._eval_intrinsic_arg(argument, data, ctx) for argument in arguments]
                arguments = [("str", value if isinstance(value, str) else json.dumps(value)) for value in values]
            return execute((kind, name, arguments), data, ctx)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise sf._ExecutionError("States.IntrinsicFailure", f"{name}: {error}") from error

    return execute_intrinsic


def _never_match_terminal_errors(matches: Callable[..., bool]) -> Callable[..., bool]:
    def error_matches(error_equals: list[str], error: str) -> bool:
        return error not in _TERMINAL_ERRORS and matches(error_equals, error)

    return error_matches


def _limit_output(add: Callable[..., Any]) -> Callable[..., Any]:
    def add_event(execution: dict[str, Any], event_type: str, details: Any = None) -> Any:
        for event in (details or {}).values():
            output = event.get("output") or ""
            if len(output) > OUTPUT_LIMIT and _compact_size(output) > OUTPUT_LIMIT:
                raise sf._ExecutionError(
                    "States.DataLimitExceeded",
                    f"The state/task '{event.get('name') or event.get('resource')}' returned a result "
                    "with a size exceeding the maximum number of bytes service limit.",
                )
        return add(execution, event_type, details)

    return add_event


def _compact_size(document: str) -> int:
    """Return the bytes of a JSON document without its white space."""
    return len(json.dumps(json.loads(document), ensure_ascii=False, separators=(",", ":")).encode())


PATCHES = [
    Patch(
        "Retry reads MaxDelaySeconds and JitterStrategy, and stops with the execution",
        *(stepfunctions, "_find_matching_retrier", ("retriers", "error", "retry_counts")),
        _apply_backoff_fields,
    ),
    Patch(
        "a missing path ends the execution with States.Runtime and is not null",
        *(stepfunctions, "_resolve_path", ("path", "data")),
        _refuse_missing_paths,
    ),
    Patch(
        "IsPresent is true for null",
        *(stepfunctions, "_evaluate_rule", ("rule", "data", "ctx")),
        _distinguish_null_from_missing,
    ),
    Patch(
        "States.Format writes true and null, and an intrinsic function fails as States.IntrinsicFailure",
        *(stepfunctions, "_exec_intrinsic", ("node", "data", "ctx")),
        _format_and_fail_intrinsics,
    ),
    Patch(
        "neither Catch nor Retry matches States.Runtime and States.DataLimitExceeded",
        *(stepfunctions, "_error_matches", ("error_equals", "error")),
        _never_match_terminal_errors,
    ),
    Patch(
        "the output of a state is at most 256 KiB",
        *(stepfunctions, "_add_event", ("execution", "event_type", "details")),
        _limit_output,
    ),
]
