from __future__ import annotations

import json
from typing import Any

from distillation import keys
from distillation.documents import Failure, FailureCause
from distillation.records import TrainedModel
from distillation.runs.failure import describe_failure, failed_run, record_failure
from distillation.runs.request import run_name_of
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket


class StepFunctions:
    """Step Functions client of an execution that entered ``states``, the last one first."""

    def __init__(self, *states: str) -> None:
        self.states = states

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        return {"events": [{"stateEnteredEventDetails": {"name": state}} for state in self.states]}

    def list_map_runs(self, **_: Any) -> dict[str, Any]:
        return {"mapRuns": [{"mapRunArn": "arn:map"}]}

    def list_executions(self, **_: Any) -> dict[str, Any]:
        return {"executions": [{"executionArn": "arn:batch"}]}

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"error": "AccessDenied", "cause": cause("no access to the model")}


def cause(message: str) -> str:
    """Return the cause of a function's error as Step Functions passes it on."""
    return json.dumps({"errorMessage": message, "errorType": "JobFailed", "stackTrace": ["Traceback"]})


def claimed(name: str, execution: str) -> Bucket:
    """Return a Data bucket with a run that ``execution`` has claimed."""
    run = any_run().model_copy(update={"name": name, "execution": execution})
    return bucket(**{keys.request_key(name): run.model_dump_json().encode()})


def describe(state: Any, *entered: str) -> FailureCause:
    return describe_failure(state, "arn", StepFunctions(*entered))  # type: ignore[arg-type] - only its calls are made


def test_failure_has_the_state_and_the_message_without_its_traceback() -> None:
    state = {"error": {"Error": "TooFewImages", "Cause": cause("10 usable images")}}

    assert describe(state, "RecordFailure", "Split") == FailureCause(
        state="Split", error="TooFewImages", cause="Split: 10 usable images"
    )


def test_failure_of_a_map_has_the_error_of_its_first_failed_batch() -> None:
    state = {"error": {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "a batch failed"}}

    assert describe(state, "RecordFailure", "LabelImages") == FailureCause(
        state="LabelImages", error="AccessDenied", cause="LabelImages: no access to the model"
    )


def test_failure_of_a_run_without_a_model_has_the_reason_of_each_size() -> None:
    models = [{"size": 8, "reason": cause("bad data")}, {"size": 14, "reason": "timed out"}]
    trained = {"any_active": False, "models": models}
    state = {"error": {"Error": "JobFailed", "Cause": "no size was trained"}, "trained": trained}

    failure = describe(state, "RecordFailure", "NothingTrained", "AnyModelTrained", "TrainModels")

    assert failure.cause == "TrainModels: no size was trained: size 8: bad data; size 14: timed out"


def test_reason_of_a_failed_size_is_the_message_alone() -> None:
    assert TrainedModel(size=8, status="Failed", reason=cause("bad data")).reason == "bad data"


def test_failure_is_written_to_the_run() -> None:
    data = claimed("holiday-1", "arn:1")
    state = {"run": "holiday-1", "claimed_by": None, "error": {"Error": "TooFewImages", "Cause": "10 usable images"}}
    client: Any = StepFunctions("RecordFailure", "Split")
    failure = record_failure(state, "arn:1", data, client)
    document = Failure.model_validate_json(data.read(keys.failure_key("holiday-1")))

    assert document == Failure(run="holiday-1", execution="arn:1", **failure.model_dump())


def test_execution_that_prepare_refused_has_the_name_of_its_run() -> None:
    start = {"collection": "holiday/", "teachr": "x", "error": {}}
    name = run_name_of(start, "arn:1") or ""

    assert failed_run(start, "arn:1", bucket()) == name
    assert failed_run(start, "arn:1", claimed(name, "arn:1")) == name
    assert failed_run(start, "arn:1", claimed(name, "arn:2")) is None
    assert failed_run({"detail": 3}, "arn:1", bucket()) is None
    assert failed_run({"run": "holiday-1", "claimed_by": None}, "arn:1", bucket()) == "holiday-1"


def test_run_that_an_input_names_keeps_its_own_failure() -> None:
    start = {"collection": "x/", "run": "holiday-1", "error": {}}
    data = claimed("holiday-1", "arn:2")

    assert failed_run(start, "arn:1", data) == run_name_of(start, "arn:1") != "holiday-1"
    assert failed_run(start | {"claimed_by": None}, "arn:1", data) is None
