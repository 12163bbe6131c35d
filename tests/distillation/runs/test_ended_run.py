from __future__ import annotations

import json
from typing import Any

import pytest

from distillation import keys
from distillation.errors import InvalidRequest
from distillation.events import EndingEvent, ExecutionDetail
from distillation.records import parse
from distillation.runs.ended_run import ended_run_name, find_ended_run
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket

START = json.dumps({"collection": "holiday/"})
NAME = keys.run_name("holiday/", "arn:1")


def claimed(name: str = NAME, execution: str = "arn:1") -> Bucket:
    """Return a Data bucket with a run that ``execution`` has claimed."""
    run = any_run().model_copy(update={"name": name, "execution": execution})
    return bucket(**{keys.request_key(name): run.model_dump_json().encode()})


def ended(input: str | None = START) -> EndingEvent:
    return EndingEvent(detail=ExecutionDetail(executionArn="arn:1", status="FAILED", input=input))


def test_run_is_found_by_the_name_that_the_state_machine_sends() -> None:
    run = find_ended_run(EndingEvent(run="holiday-1"), claimed("holiday-1"))

    assert run
    assert run.name == "holiday-1"


def test_run_is_found_by_the_input_of_the_execution_that_claimed_it() -> None:
    run = find_ended_run(ended(), claimed())

    assert run
    assert run.name == NAME


def test_run_of_another_execution_is_not_found() -> None:
    assert find_ended_run(ended(), claimed(execution="arn:2")) is None


@pytest.mark.parametrize("input", [None, "{}", START])
def test_execution_that_claimed_no_run_has_none(input: str | None) -> None:
    assert find_ended_run(ended(input), bucket()) is None


def test_execution_started_by_an_upload_has_the_name_of_its_run() -> None:
    uploaded: dict[str, Any] = {"detail": {"object": {"key": "holiday/distill.json", "version-id": "v1", "etag": "e"}}}
    detail = ExecutionDetail(executionArn="arn:1", input=json.dumps(uploaded))

    assert ended_run_name(detail) == keys.run_name("holiday/", "v1")


def test_event_without_a_run_or_an_execution_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="either run or detail is required"):
        parse(EndingEvent, {}, "event")
