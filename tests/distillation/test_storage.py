"""Errors of S3, as the storage module translates them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.response import StreamingBody
from botocore.stub import Stubber
from urllib3.exceptions import SSLError

from distillation.errors import AccessDenied, InvalidRequest, ObjectMissing, ServiceUnavailable
from distillation.storage import Bucket
from tests.support.fakes import MemoryS3, bucket

CALLS: dict[str, tuple[str, Callable[[Bucket], Any]]] = {
    "read": ("get_object", lambda data: data.read("a/b")),
    "read_first": ("get_object", lambda data: data.read_first("a/b", 10)),
    "get_or_none": ("get_object", lambda data: data.get_or_none("a/b")),
    "iter_lines": ("get_object", lambda data: list(data.iter_lines("a/b"))),
    "write": ("put_object", lambda data: data.write("a/b", b"")),
    "write_lines": ("put_object", lambda data: data.write_lines("a/b", [{}])),
    "put_if_absent": ("put_object", lambda data: data.put_if_absent("a/b", b"")),
    "keys": ("list_objects_v2", lambda data: list(data.keys("a/b"))),
}
OUTAGES = [
    ("InternalError", 500),
    ("SlowDown", 503),
    ("ServiceUnavailable", 503),
    ("503", 503),
    ("RequestTimeout", 400),
    ("ThrottlingException", 400),
    ("OperationAborted", 409),
    ("TooManyRequests", 429),
]
NO_ANSWER = [
    EndpointConnectionError(endpoint_url="https://s3"),
    ConnectionClosedError(endpoint_url="https://s3"),
    ReadTimeoutError(endpoint_url="https://s3"),
]
BROKEN_BODIES = [
    ReadTimeoutError(endpoint_url="https://s3"),
    ResponseStreamingError(error="connection reset"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
    FlexibleChecksumError(error_msg="checksum"),
    SSLError("decryption failed"),
]
each_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture
def stubbed() -> Iterator[tuple[Bucket, Stubber]]:
    client: Any = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))
    with Stubber(client) as stub:
        yield Bucket(client, "data"), stub


def fail(stubbed: tuple[Bucket, Stubber], call: str, code: str, status: int) -> Any:
    """Make a call that S3 answers with an error."""
    data, stub = stubbed
    operation, function = CALLS[call]
    stub.add_client_error(operation, code, "the reason", http_status_code=status)
    return function(data)


@each_call
@pytest.mark.parametrize(("code", "status"), OUTAGES)
def test_outage_is_an_error_that_the_state_machine_retries(
    stubbed: tuple[Bucket, Stubber], call: str, code: str, status: int
) -> None:
    with pytest.raises(ServiceUnavailable, match=r"s3://data/a/b.*the reason"):
        fail(stubbed, call, code, status)


@each_call
@pytest.mark.parametrize("error", NO_ANSWER, ids=lambda error: type(error).__name__)
def test_missing_answer_is_an_error_that_the_state_machine_retries(call: str, error: Exception) -> None:
    client: Any = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))
    calls: list[str] = []

    def refuse(model: Any, **_: Any) -> None:
        calls.append(model.name)
        raise error

    client.meta.events.register("before-call.s3", refuse)
    with pytest.raises(ServiceUnavailable, match=r"s3://data/a/b.*no answer"):
        CALLS[call][1](Bucket(client, "data"))

    assert len(calls) == 1


class BrokenBody(io.BytesIO):
    """Body that breaks off after the first read."""

    error: Exception

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise self.error
        return super().read(min(size or 4, 4) if size != -1 else 4)


@pytest.mark.parametrize("error", BROKEN_BODIES, ids=lambda error: type(error).__name__)
def test_body_that_breaks_off_is_an_error_that_the_state_machine_retries(error: Exception) -> None:
    class Client(MemoryS3):
        def get_object(self, **_: Any) -> dict[str, Any]:
            body = BrokenBody(b"line\nline\n")
            body.error = error
            return {"Body": body}

    client: Any = Client()
    lines = Bucket(client, "data").iter_lines("a/b")
    with pytest.raises(ServiceUnavailable, match="s3://data/a/b"):
        list(lines)


def test_body_shorter_than_its_length_is_an_error_that_the_state_machine_retries(
    stubbed: tuple[Bucket, Stubber],
) -> None:
    data, stub = stubbed
    stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"half"), 8)})
    with pytest.raises(ServiceUnavailable, match="s3://data/a/b"):
        data.read("a/b")


@pytest.mark.parametrize("call", ["read", "iter_lines"])
def test_refused_read_names_the_missing_right_to_list_as_a_cause(stubbed: tuple[Bucket, Stubber], call: str) -> None:
    with pytest.raises(AccessDenied, match=r"the reason.*s3:ListBucket"):
        fail(stubbed, call, "AccessDenied", 403)


def test_archived_object_is_refused_with_its_remedy(stubbed: tuple[Bucket, Stubber]) -> None:
    with pytest.raises(AccessDenied, match=r"Glacier. Restore it"):
        fail(stubbed, "read", "InvalidObjectState", 403)


@each_call
@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("KMS.DisabledException", 400), ("ExpiredToken", 400), ("Odd", 403)]
)
def test_refusal_is_access_denied(stubbed: tuple[Bucket, Stubber], call: str, code: str, status: int) -> None:
    with pytest.raises(AccessDenied, match=r"s3://data/a/b.*the reason"):
        fail(stubbed, call, code, status)


@each_call
@pytest.mark.parametrize("code", ["NoSuchBucket", "KeyTooLongError"])
def test_any_other_error_names_its_code(stubbed: tuple[Bucket, Stubber], call: str, code: str) -> None:
    with pytest.raises(InvalidRequest, match=f"s3://data/a/b.*: {code}: the reason"):
        fail(stubbed, call, code, 400)


@pytest.mark.parametrize("call", ["read", "iter_lines"])
def test_missing_object_is_named(stubbed: tuple[Bucket, Stubber], call: str) -> None:
    with pytest.raises(ObjectMissing, match="s3://data/a/b does not exist"):
        fail(stubbed, call, "NoSuchKey", 404)


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_conditional_write_that_lost_the_race_writes_nothing(stubbed: tuple[Bucket, Stubber], code: str) -> None:
    assert fail(stubbed, "put_if_absent", code, 412) is False


def test_long_key_is_cut_in_a_message() -> None:
    with pytest.raises(ObjectMissing) as caught:
        bucket().read("k" * 1_024)

    assert len(str(caught.value)) < 300


def test_at_most_the_limit_is_read() -> None:
    assert bucket(**{"a": b"12345"}).read("a", 3) == b"123"
