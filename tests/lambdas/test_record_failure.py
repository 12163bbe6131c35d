from __future__ import annotations

import json
from typing import Any

from lambdas.record_failure.failure import describe
from lambdas.shared.records import TrainedModel


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

    assert describe(caught, "arn", History("RecordFailure", "Split")) == {  # type: ignore[arg-type]
        "state": "Split",
        "error": "TooFewImages",
        "cause": "Split: 10 usable images",
    }


def test_run_without_a_model_says_of_each_size_why() -> None:
    models = [{"size": 8, "reason": cause("bad data")}, {"size": 14, "reason": "timed out"}]
    failed = {"any": False, "models": models}
    state = {"error": {"Error": "JobFailed", "Cause": "no size was trained"}, "trained": failed}
    history = History("RecordFailure", "NothingTrained", "AnyModelTrained", "TrainModels")

    told = describe(state, "arn", history)["cause"]  # type: ignore[arg-type]

    assert told == "TrainModels: no size was trained: size 8: bad data; size 14: timed out"


def test_reason_of_a_size_that_failed_is_a_sentence() -> None:
    assert TrainedModel(size=8, status="Failed", reason=cause("bad data")).reason == "bad data"
