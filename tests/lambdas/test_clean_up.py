from __future__ import annotations

import json
from typing import Any

import pytest

from distillation import keys
from distillation.errors import InvalidRequest
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources, ended_run
from tests.support.builders import any_run
from tests.support.lambda_functions import Functions

NOTHING = {"stopped": [], "deleted": [], "kept": []}


def ended_execution(execution: str = "arn:1") -> dict[str, Any]:
    """Return EventBridge's event of an execution that was aborted."""
    return {
        "version": "0",
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "executionArn": execution,
            "stateMachineArn": "arn:m",
            "name": "e",
            "status": "ABORTED",
            "startDate": 1,
            "stopDate": 2,
            "input": json.dumps({"collection": "holiday/"}),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": None,
            "error": None,
            "cause": None,
        },
    }


def test_run_that_the_state_machine_names_is_cleaned_up(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = add_resources(endpoint, "holiday-1")
    functions = Functions(monkeypatch, bedrock=client)
    for key, body in ended_run("holiday-1", name).items():
        functions.data.write(key, body)

    assert functions.invoke("clean_up", {"run": "holiday-1"}) == NOTHING | {
        "kept": [f"deployment {name}", f"model {name}"]
    }


@pytest.mark.parametrize("days", [0, 3])
def test_deployment_of_an_aborted_execution_is_deleted_and_its_model_only_without_keep_on_failure_days(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    run = any_run(keep_on_failure_days=days).model_copy(
        update={"name": keys.run_name("holiday/", "arn:1"), "execution": "arn:1"}
    )
    name = add_resources(endpoint, run.name)
    functions = Functions(monkeypatch, bedrock=client)

    assert functions.invoke("clean_up", ended_execution()) == NOTHING  # The execution has not claimed a run.
    functions.data.write_document(keys.request_key(run.name), run)
    assert functions.invoke("clean_up", ended_execution("arn:2")) == NOTHING
    deployment, model = f"deployment {name}", f"model {name}"
    expected = {"deleted": [deployment], "kept": [model]} if days else {"deleted": [deployment, model]}
    assert functions.invoke("clean_up", ended_execution()) == NOTHING | expected


def test_event_without_a_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="either run or detail is required"):
        Functions(monkeypatch).invoke("clean_up", {})
