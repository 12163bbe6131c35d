"""The local Bedrock endpoint, asked by unmodified boto3 clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.bedrock import Endpoint
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import TEACHER, client, code, ended, serving, train, trainable_bucket


@pytest.fixture
def s3() -> MemoryS3:
    return trainable_bucket()


@pytest.fixture
def endpoint(s3: MemoryS3, tmp_path: Path) -> Iterator[Endpoint]:
    with serving(s3, tmp_path) as found:
        yield found


def ask(endpoint: Endpoint, model: str = TEACHER, **changes: Any) -> dict[str, Any]:
    image = {"format": "jpeg", "source": {"s3Location": {"uri": "s3://data/images/900/1.jpg"}}} | changes
    content = [{"text": "keywords"}, {"image": image}]
    messages = [{"role": "user", "content": content}]
    return client(endpoint, "bedrock-runtime").converse(modelId=model, messages=messages)


def test_teacher_answers_about_an_image_by_bytes_or_by_location(endpoint: Endpoint, s3: MemoryS3) -> None:
    by_location = ask(endpoint)
    by_bytes = ask(endpoint, source={"bytes": s3.objects["images/900/1.jpg"]})

    assert by_location["output"] == by_bytes["output"]
    assert by_location["stopReason"] == "end_turn"
    assert by_location["usage"]["inputTokens"] > 900


def test_question_without_an_image_is_answered_by_any_model_that_is_there(endpoint: Endpoint) -> None:
    runtime = client(endpoint, "bedrock-runtime")
    question = [{"role": "user", "content": [{"text": "Are you there?"}]}]

    assert runtime.converse(modelId=TEACHER, messages=question)["usage"]["inputTokens"] == 3
    with pytest.raises(ClientError) as error:
        runtime.converse(modelId="amazon.nova-pro-v1:0", messages=question)
    assert code(error) == "ResourceNotFoundException"


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
def test_wrong_question_is_refused_as_bedrock_refuses(
    endpoint: Endpoint, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ClientError) as error:
        ask(endpoint, **changes)
    assert code(error) == expected


def test_job_trains_deploys_answers_and_is_taken_down(endpoint: Endpoint, s3: MemoryS3) -> None:
    bedrock = client(endpoint, "bedrock")
    job = ended(endpoint, train(endpoint))
    model = job["outputModelArn"]

    assert job["status"] == "Completed"
    (metrics,) = [key for key in s3.objects if key.endswith("training_artifacts/step_wise_training_metrics.csv")]
    assert s3.objects[metrics].startswith(b"step_number,epoch_number,training_loss\n1,0,")
    arn = bedrock.create_custom_model_deployment(modelDeploymentName="d", modelArn=model)["customModelDeploymentArn"]
    states = [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier="d")["status"] for _ in range(2)]
    assert states == ["Creating", "Active"]
    assert "common" in ask(endpoint, arn)["output"]["message"]["content"][0]["text"]
    with pytest.raises(ClientError) as error:
        bedrock.delete_custom_model(modelIdentifier=model)
    assert code(error) == "ConflictException"
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    bedrock.delete_custom_model(modelIdentifier=model)
    assert bedrock.list_custom_models()["modelSummaries"] == []


def test_same_token_is_the_same_job_and_another_with_its_name_a_conflict(endpoint: Endpoint) -> None:
    assert train(endpoint) == train(endpoint)
    with pytest.raises(ClientError) as error:
        train(endpoint, clientRequestToken="other")
    assert code(error) == "ConflictException"


def test_dataset_that_bedrock_would_refuse_fails_the_job(endpoint: Endpoint, s3: MemoryS3) -> None:
    s3.objects["train.jsonl"] = s3.objects["train.jsonl"].replace(b"common", b"User: x")
    job = ended(endpoint, train(endpoint))

    assert job["status"] == "Failed"
    assert "reserves" in job["failureMessage"]


@pytest.mark.parametrize("changes", [{"baseModelIdentifier": "amazon.nova-lite-v1:0:300k"}, {"jobName": "a_b"}])
def test_job_with_a_wrong_field_is_refused(endpoint: Endpoint, changes: dict[str, str]) -> None:
    with pytest.raises(ClientError) as error:
        train(endpoint, **changes)
    assert code(error) == "ValidationException"


def test_caller_without_the_right_is_refused(s3: MemoryS3, tmp_path: Path) -> None:
    class NoRights:
        def principal(self, authorization: str) -> str:
            return "somebody"

        def allowed(self, principal: str, action: str, resource: str) -> bool:
            return False

    with serving(s3, tmp_path, NoRights()) as endpoint:
        with pytest.raises(ClientError, match="bedrock:InvokeModel") as error:
            ask(endpoint)
        assert code(error) == "AccessDeniedException"
