from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import keys
from distillation.errors import InvalidRequest, ServiceUnavailable
from distillation.runs.execution_input import parse_input, read_input, run_name_in


def test_input_is_read_from_step_functions() -> None:
    client: Any = boto3.client("stepfunctions")
    fields = {"executionArn": "arn:1", "stateMachineArn": "arn:m", "startDate": 0, "status": "RUNNING"}
    with Stubber(client) as stub:
        stub.add_response("describe_execution", fields | {"input": '{"collection": "holiday/"}'})

        assert parse_input(read_input(client, "arn:1")) == {"collection": "holiday/"}


@pytest.mark.parametrize("code", ["ExecutionDoesNotExist", "ThrottlingException", "ServiceUnavailable"])
def test_execution_that_cannot_be_read_yet_is_an_error_that_the_state_machine_retries(code: str) -> None:
    client: Any = boto3.client("stepfunctions")
    with Stubber(client) as stub:
        stub.add_client_error("describe_execution", code)
        with pytest.raises(ServiceUnavailable, match="arn:1"):
            read_input(client, "arn:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 20_000 + "1" + "}" * 20_000, "nested too deeply"),
        ("x" * 250_000, "is not JSON"),
        ('{"prompt": "\\ud800"}', "is not JSON"),
        ("[]", "must be a JSON object"),
        ("3", "must be a JSON object"),
    ],
    ids=["lists", "objects", "not JSON", "half a surrogate pair", "list", "number"],
)
def test_input_that_is_no_object_is_an_invalid_request(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        parse_input(text)

    assert len(str(caught.value)) < 500
    assert run_name_in(text, "arn:1") is None


def test_name_of_the_run_is_that_of_the_collection_and_the_execution() -> None:
    assert run_name_in(json.dumps({"collection": "holiday/"}), "arn:1") == keys.run_name("holiday/", "arn:1")
