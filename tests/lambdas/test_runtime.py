from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from pydantic import Field

from distillation import keys
from distillation.errors import DistillationError, InvalidRequest, ObjectMissing
from distillation.events import RunEvent, ValidationResult
from distillation.models import catalog
from lambdas import runtime
from lambdas.runtime import Settings, batch_limits, read_run, settings, typed
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.lambda_functions import CONTEXT


class ExampleSettings(Settings):
    """Environment variables of a step."""

    example_name: str
    example_hours: float


class SizesEvent(RunEvent):
    """Event with a required list."""

    sizes: list[int] = Field(min_length=1)


@typed(SizesEvent)
def example_handler(event: SizesEvent, context: Any) -> ValidationResult:
    """Return the number of sizes."""
    return ValidationResult(files=len(event.sizes), records=max(event.sizes))


def test_settings_are_read_from_environment_variables_in_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_NAME", "a")
    monkeypatch.setenv("EXAMPLE_HOURS", "1.5")

    assert settings(ExampleSettings) == ExampleSettings(EXAMPLE_NAME="a", EXAMPLE_HOURS=1.5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "EXAMPLE_NAME, EXAMPLE_HOURS"),
        ({"EXAMPLE_NAME": "a"}, "EXAMPLE_HOURS"),
        ({"EXAMPLE_NAME": "a", "EXAMPLE_HOURS": "soon"}, "EXAMPLE_HOURS"),
    ],
)
def test_missing_or_malformed_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidRequest, match=f"no usable {named}. Deploy the stack again"):
        settings(ExampleSettings)


def test_typed_handler_takes_and_returns_json_values() -> None:
    assert example_handler({"run": "r", "sizes": [8, 14], "unknown": 1}, CONTEXT) == {"files": 2, "records": 14}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"sizes": [8]}, "event: field 'run': Field required"),
        ({"run": "r", "sizes": []}, "event: field 'sizes': List should have at least 1 item"),
        ({"run": "r", "sizes": [8, "many"]}, r"event: field 'sizes.1': .* \(got 'many'\)"),
        ({"run": None}, "event: field 'run': .*; field 'sizes': Field required"),
    ],
)
def test_field_of_a_wrong_event_is_named(event: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        example_handler(event, CONTEXT)


def test_run_that_was_never_claimed_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bucket(**{keys.request_key("holiday-1"): any_run().model_dump_json().encode()})
    monkeypatch.setattr(runtime, "data", lambda: data)

    assert read_run("holiday-1") == any_run()
    with pytest.raises(ObjectMissing, match=r"runs/other/request\.json"):
        read_run("other")


def test_deadline_of_a_batch_leaves_time_for_the_last_answer_and_for_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    limits = batch_limits(3, CONTEXT)

    assert (limits.concurrent_batches, limits.deadline) == (3, 1000 + 900 - 120 - 30)


def test_control_plane_client_gives_up_before_the_shortest_function_times_out() -> None:
    config: Any = runtime.bedrock.__wrapped__().meta.config
    attempts = config.retries["total_max_attempts"]

    assert attempts * (config.connect_timeout + config.read_timeout) < 60


@pytest.mark.parametrize(("error", "kind"), [(InvalidRequest, InvalidRequest), (ValueError, DistillationError)])
def test_long_message_is_cut_because_the_state_of_the_execution_keeps_it(
    error: type[Exception], kind: type[Exception]
) -> None:
    @typed(SizesEvent)
    def handler(event: SizesEvent, context: Any) -> ValidationResult:
        raise error("x" * 300_000)

    with pytest.raises(kind) as caught:
        handler({"run": "r", "sizes": [1]}, CONTEXT)

    assert type(caught.value) is kind
    assert len(str(caught.value)) == 4_000


def test_s3_client_gives_up_before_the_shortest_function_times_out() -> None:
    config = runtime._SHORT_CALLS
    attempts = 5  # boto3's default

    assert attempts * (config.connect_timeout + config.read_timeout) < 60  # type: ignore[attr-defined]


def test_missing_object_has_a_remedy() -> None:
    @typed(SizesEvent)
    def handler(event: SizesEvent, context: Any) -> ValidationResult:
        raise ObjectMissing("s3://data/a does not exist")

    with pytest.raises(ObjectMissing, match=r"s3://data/a does not exist\. Start the run again\. Stored labels"):
        handler({"run": "r", "sizes": [1]}, CONTEXT)


def test_function_names_the_models_that_the_local_endpoint_serves() -> None:
    names = {"local.teacher-pixels-v1:0": "qwen:7b"}
    program = "import lambdas.runtime; from distillation.models import catalog; print(catalog.served_name(*{!r}))"
    finished = subprocess.run(
        [sys.executable, "-c", program.format([*names])],
        env={**os.environ, catalog.SERVED_NAMES: json.dumps(names)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert finished.stdout == "qwen:7b\n"
