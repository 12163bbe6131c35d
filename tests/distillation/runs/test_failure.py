from __future__ import annotations

import json
from typing import Any

from distillation import keys
from distillation.records import TrainedModel
from distillation.runs.failure import describe_failure, failed_run
from distillation.runs.request import run_name_of
from tests.support.fakes import bucket


class History:
    """What is asked of Step Functions: the states that were entered, the last first."""

    def __init__(self, *states: str) -> None:
        self.states = states

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        return {"events": [{"stateEnteredEventDetails": {"name": state}} for state in self.states]}


def cause(message: str) -> str:
    """Return a function's error as Step Functions hands it on."""
    return json.dumps({"errorMessage": message, "errorType": "JobFailed", "stackTrace": ["Traceback"]})


def test_failure_names_the_state_and_the_message_without_its_traceback() -> None:
    caught = {"error": {"Error": "TooFewImages", "Cause": cause("10 usable images")}}

    assert describe_failure(caught, "arn", History("RecordFailure", "Split")) == {  # type: ignore[arg-type]
        "state": "Split",
        "error": "TooFewImages",
        "cause": "Split: 10 usable images",
    }


def test_run_without_a_model_says_of_each_size_why() -> None:
    models = [{"size": 8, "reason": cause("bad data")}, {"size": 14, "reason": "timed out"}]
    failed = {"any": False, "models": models}
    state = {"error": {"Error": "JobFailed", "Cause": "no size was trained"}, "trained": failed}
    history = History("RecordFailure", "NothingTrained", "AnyModelTrained", "TrainModels")

    told = describe_failure(state, "arn", history)["cause"]  # type: ignore[arg-type]

    assert told == "TrainModels: no size was trained: size 8: bad data; size 14: timed out"


def test_reason_of_a_size_that_failed_is_a_sentence() -> None:
    assert TrainedModel(size=8, status="Failed", reason=cause("bad data")).reason == "bad data"


def test_run_that_prepare_refused_has_its_name_all_the_same() -> None:
    start = {"collection": "holiday/", "teachr": "x", "error": {}}
    name = run_name_of(start, "arn:1") or ""
    key = keys.request_key(name)

    assert failed_run(start, "arn:1", bucket()) == name
    assert failed_run(start, "arn:1", bucket(**{key: b'{"execution": "arn:1"}'})) == name
    assert failed_run(start, "arn:1", bucket(**{key: b'{"execution": "arn:2"}'})) is None
    assert failed_run({"detail": 3}, "arn:1", bucket()) is None
    assert failed_run({"run": "holiday-1", "claimed_by": None}, "arn:1", bucket()) == "holiday-1"


def test_run_that_somebody_wrote_into_the_input_keeps_its_own_ending() -> None:
    written = {"collection": "x/", "run": "holiday-1", "error": {}}
    of_another = bucket(**{keys.request_key("holiday-1"): b'{"execution": "arn:2"}'})

    assert failed_run(written, "arn:1", of_another) == run_name_of(written, "arn:1") != "holiday-1"
    assert failed_run(written | {"claimed_by": None}, "arn:1", of_another) is None
