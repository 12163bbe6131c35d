from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from pydantic import JsonValue

from distillation import keys
from distillation.errors import InvalidRequest, ServiceUnavailable
from distillation.runs.execution_input import StartedRequest, Upload, parse_input, read_input, run_name_in


def test_input_is_read_from_step_functions() -> None:
    client: Any = boto3.client("stepfunctions")
    fields = {"executionArn": "arn:1", "stateMachineArn": "arn:m", "startDate": 0, "status": "RUNNING"}
    with Stubber(client) as stub:
        stub.add_response("describe_execution", fields | {"input": '{"collection": "holiday/"}'})

        assert parse_input(read_input(client, "arn:1")) == StartedRequest("holiday/")


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


def upload_event(**event_object: Any) -> str:
    """Return the event of an uploaded ``distill.json``; keywords change its object."""
    return json.dumps({"detail": {"object": {"key": "holiday/distill.json", "etag": "e"} | event_object}})


def test_event_of_s3_is_an_upload_of_a_version() -> None:
    upload = parse_input(upload_event(**{"version-id": "v1"}))

    assert upload == Upload("holiday/distill.json", "v1")
    assert upload.collection == "holiday/"
    assert (
        parse_input(upload_event(**{"version-id": ""}))
        == parse_input(upload_event())
        == Upload("holiday/distill.json", "e")
    )


@pytest.mark.parametrize(
    "text", [upload_event(key=3), upload_event(etag=None), upload_event(etag=""), '{"detail": 3}', '{"detail": {}}']
)
def test_event_that_is_not_of_s3_is_an_invalid_request(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"field 'detail' is not that of an S3 event\. Give a JSON object with"):
        parse_input(text)

    assert run_name_in(text, "arn:1") is None


def test_other_input_is_a_request_that_is_not_checked_yet() -> None:
    assert parse_input('{"collection": "holiday/", "apply": 3}') == StartedRequest("holiday/", {"apply": 3})
    assert parse_input("{}") == StartedRequest(None)


def test_redelivered_event_has_the_same_run_and_a_new_version_has_another() -> None:
    first, redelivered = (run_name_in(upload_event(**{"version-id": "v1"}), arn) for arn in ("arn:1", "arn:2"))

    assert first == redelivered == keys.run_name("holiday/", "v1")
    assert run_name_in(upload_event(**{"version-id": "v2"}), "arn:1") != first


def test_name_of_the_run_is_that_of_the_collection_and_the_execution() -> None:
    assert run_name_in(json.dumps({"collection": "holiday/"}), "arn:1") == keys.run_name("holiday/", "arn:1")


@pytest.mark.parametrize("key", ["", "distill.json", "holiday/", "holiday/cat.jpg", "holiday/my-distill.json"])
def test_event_of_another_object_than_the_request_of_a_folder_is_an_invalid_request(key: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{key}' is not the distill.json of a folder"):
        parse_input(upload_event(key=key))

    assert run_name_in(upload_event(key=key), "arn:1") is None


def test_input_with_a_collection_never_starts_the_run_of_an_uploaded_request() -> None:
    detail: JsonValue = {"object": {"key": "other/distill.json", "etag": "e"}}

    start = parse_input(json.dumps({"collection": "holiday/", "detail": detail}))

    assert start == StartedRequest("holiday/", {"detail": detail})
