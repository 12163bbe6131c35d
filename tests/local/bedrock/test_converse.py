"""Converse of the local endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.bedrock import Endpoint
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import KEY, TEACHER, Rights, client, converse, error_code, running_endpoint


def test_teacher_answers_about_an_image_by_bytes_or_by_location(endpoint: Endpoint, s3: MemoryS3) -> None:
    by_location = converse(endpoint)
    by_bytes = converse(endpoint, source={"bytes": s3.objects["images/900/1.jpg"]})

    assert by_location["output"] == by_bytes["output"]
    assert by_location["stopReason"] == "end_turn"
    assert by_location["usage"]["inputTokens"] > 900


def test_request_without_an_image_is_answered_by_every_local_model(endpoint: Endpoint) -> None:
    runtime = client(endpoint, "bedrock-runtime")
    question = [{"role": "user", "content": [{"text": "Are you there?"}]}]

    assert runtime.converse(modelId=TEACHER, messages=question)["usage"]["inputTokens"] == 3
    with pytest.raises(ClientError) as error:
        runtime.converse(modelId="amazon.nova-pro-v1:0", messages=question)
    assert error_code(error) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "amazon.nova-pro-v1:0"}, "ResourceNotFoundException"),
        ({"model": "amazon.nova-lite-v1:0"}, "ResourceNotFoundException"),
        ({"format": "png"}, "ValidationException"),
        ({"source": {"bytes": b"no image"}}, "ValidationException"),
        ({"source": {"s3Location": {"uri": "s3://data/gone.jpg"}}}, "ValidationException"),
    ],
)
def test_invalid_request_is_refused_with_bedrocks_error_code(
    endpoint: Endpoint, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ClientError) as error:
        converse(endpoint, **changes)
    assert error_code(error) == expected


def test_image_of_an_encrypted_bucket_is_read_if_the_caller_may_use_its_key(s3: MemoryS3, tmp_path: Path) -> None:
    s3.kms_key_arn = KEY
    with running_endpoint(s3, tmp_path, Rights()) as endpoint:
        assert converse(endpoint)["stopReason"] == "end_turn"
    with running_endpoint(s3, tmp_path, Rights("kms:Decrypt")) as endpoint:
        with pytest.raises(ClientError, match="kms:Decrypt") as error:
            converse(endpoint)
        assert error_code(error) == "AccessDeniedException"
