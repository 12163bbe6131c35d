"""A tuned model from job to deletion, through unmodified boto3 clients, and callers without permissions."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

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


def test_client_that_leaves_during_its_request_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_endpoint(trainable_bucket(), tmp_path) as endpoint:
        address = urlsplit(endpoint.url)
        with socket.create_connection((address.hostname, address.port), 10) as connection:
            connection.sendall(b"POST /model/m/converse HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n")
            connection.sendall(b"Expect: 100-continue\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        converse(endpoint)

    assert caplog.messages == []
