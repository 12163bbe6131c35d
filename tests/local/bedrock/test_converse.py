"""Converse of the local endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from distillation.answers.formats.class_label import ClassLabel
from local.bedrock import Endpoint
from local.bedrock.faults import ConverseFaults
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import (
    KEY,
    STUDENT,
    TEACHER,
    Permissions,
    client,
    converse,
    create_deployment,
    create_job,
    error_code,
    running_endpoint,
    wait_for_job,
)

APPLICATION_PROFILE = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc123"


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
    with running_endpoint(s3, tmp_path, Permissions()) as endpoint:
        assert converse(endpoint)["stopReason"] == "end_turn"
    with running_endpoint(s3, tmp_path, Permissions("kms:Decrypt")) as endpoint:
        with pytest.raises(ClientError, match="kms:Decrypt") as error:
            converse(endpoint)
        assert error_code(error) == "AccessDeniedException"


def test_temperature_below_that_of_nova_is_refused_and_its_minimum_is_not_sampled(endpoint: Endpoint) -> None:
    answer = converse(endpoint)["output"]

    assert [converse(endpoint, temperature=0.00001)["output"] for _ in range(3)] == [answer] * 3
    with pytest.raises(ClientError, match=r"temperature: 0\.0 is not greater") as error:
        converse(endpoint, temperature=0.0)
    assert error_code(error) == "ValidationException"


def test_first_calls_are_refused_on_request(s3: MemoryS3, tmp_path: Path) -> None:
    with running_endpoint(s3, tmp_path, converse=ConverseFaults(refused_calls=2)) as endpoint:
        for _ in range(2):
            with pytest.raises(ClientError, match="try again after 2 minutes") as error:
                converse(endpoint)
            assert error_code(error) == "AccessDeniedException"
        assert converse(endpoint)["stopReason"] == "end_turn"


@pytest.mark.parametrize("denied", ["bedrock:InvokeModel", "bedrock:GetInferenceProfile"])
@pytest.mark.parametrize("model", [f"us.{TEACHER}", APPLICATION_PROFILE])
def test_profile_needs_the_permissions_to_invoke_and_to_get_it(
    s3: MemoryS3, tmp_path: Path, model: str, denied: str
) -> None:
    permissions = Permissions()
    with running_endpoint(s3, tmp_path, permissions) as endpoint:
        endpoint.service.profiles[APPLICATION_PROFILE] = TEACHER
        by_profile = converse(endpoint, model)

        assert by_profile["output"] == converse(endpoint)["output"]
        permissions.denied = (denied,)
        with pytest.raises(ClientError, match=denied) as error:
            converse(endpoint, model)
        assert error_code(error) == "AccessDeniedException"


def test_flex_is_answered_by_models_with_a_flex_price_and_refused_by_others(endpoint: Endpoint) -> None:
    assert converse(endpoint, tier="flex")["serviceTier"] == {"type": "flex"}
    assert converse(endpoint)["stopReason"] == converse(endpoint, STUDENT, tier="default")["stopReason"] == "end_turn"
    with pytest.raises(ClientError, match="serviceTier") as error:
        converse(endpoint, STUDENT, tier="flex")
    assert error_code(error) == "ValidationException"
    assert endpoint.service.tiers == {
        (TEACHER, "flex"): 1,
        (TEACHER, "default"): 1,
        (STUDENT, "default"): 1,
        (STUDENT, "flex"): 1,
    }


def test_faults_of_one_tier_leave_the_other_alone(
    s3: MemoryS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # boto3 waits up to 15 s before it gives up on a throttled call.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    faults = ConverseFaults(shares={"ThrottlingException": 1.0}, tier="flex")
    with running_endpoint(s3, tmp_path, converse=faults) as endpoint:
        assert converse(endpoint)["stopReason"] == "end_turn"
        with pytest.raises(ClientError) as error:
            converse(endpoint, tier="flex")
        assert error_code(error) == "ThrottlingException"


def test_models_answer_in_the_format_of_the_request_and_a_tuned_student_in_that_of_its_dataset(
    endpoint: Endpoint, s3: MemoryS3
) -> None:
    labels = ClassLabel(labels=["bright shapes", "dark shapes"])
    s3.objects["train.jsonl"] = b"".join(
        line.replace(b"word 0, common, photo", b"bright shapes")
        .replace(b"word 1, common, photo", b"dark shapes")
        .replace(b"word 2, common, photo", b"dark shapes")
        for line in s3.objects["train.jsonl"].splitlines(keepends=True)
    )
    model = wait_for_job(endpoint, create_job(endpoint))["outputModelArn"]
    deployment = create_deployment(endpoint, model)
    client(endpoint, "bedrock").get_custom_model_deployment(customModelDeploymentIdentifier=deployment)

    for answerer in (TEACHER, STUDENT, deployment):
        message = converse(endpoint, answerer, text=labels.instruction())["output"]["message"]
        assert message["content"][0]["text"] in labels.labels
