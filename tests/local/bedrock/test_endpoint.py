"""A tuned model from job to deletion, through unmodified boto3 clients, and callers without permissions."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.local_bedrock import (
    Permissions,
    client,
    converse,
    create_deployment,
    create_job,
    error_code,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)


def test_model_is_trained_deployed_called_and_deleted(tmp_path: Path) -> None:
    s3 = trainable_bucket()
    with running_endpoint(s3, tmp_path) as endpoint:
        bedrock = client(endpoint, "bedrock")
        job = wait_for_job(endpoint, create_job(endpoint))
        model = job["outputModelArn"]

        assert job["status"] == "Completed"
        (metrics,) = [key for key in s3.objects if key.endswith("training_artifacts/step_wise_training_metrics.csv")]
        assert s3.objects[metrics].startswith(b"step_number,epoch_number,training_loss\n1,0,")
        arn = create_deployment(endpoint, model)
        states = [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier="d")["status"] for _ in range(2)]
        assert states == ["Creating", "Active"]
        assert "common" in converse(endpoint, arn)["output"]["message"]["content"][0]["text"]
        with pytest.raises(ClientError) as error:
            bedrock.delete_custom_model(modelIdentifier=model)
        assert error_code(error) == "ConflictException"
        bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
        bedrock.delete_custom_model(modelIdentifier=model)
        assert bedrock.list_custom_models()["modelSummaries"] == []


def test_caller_without_the_permission_is_denied(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path, Permissions("bedrock:InvokeModel")) as endpoint:
        with pytest.raises(ClientError, match="bedrock:InvokeModel") as error:
            converse(endpoint)
        assert error_code(error) == "AccessDeniedException"
