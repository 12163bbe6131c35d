from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.bedrock import Endpoint
from tests.support.local_bedrock import (
    KEY,
    STUDENT,
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


def test_update_replaces_the_model_and_keeps_the_arn(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path) as endpoint:
        bedrock = client(endpoint, "bedrock")
        first, second = (
            wait_for_job(endpoint, create_job(endpoint, f"run-n10-a{n}"))["outputModelArn"] for n in (1, 2)
        )
        assert [model["modelArn"] for model in bedrock.list_custom_models()["modelSummaries"]] == [second, first]
        arn = create_deployment(endpoint, first)
        descriptions = [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn) for _ in range(2)]
        bedrock.update_custom_model_deployment(customModelDeploymentIdentifier=arn, modelArn=second)
        descriptions += [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn) for _ in range(2)]

        assert [description["status"] for description in descriptions] == ["Creating", "Active", "Active", "Active"]
        assert [description["modelArn"] for description in descriptions] == [first, first, first, second]
        updates = [description["updateDetails"]["updateStatus"] for description in descriptions[2:]]
        assert updates == ["Updating", "UpdateCompleted"]
        bedrock.delete_custom_model(modelIdentifier=first)
        with pytest.raises(ClientError) as error:
            bedrock.delete_custom_model(modelIdentifier=second)
        assert error_code(error) == "ConflictException"


def test_at_most_two_deployments_are_in_progress_and_a_failed_one_has_a_message(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path, failing_deployments="bad") as endpoint:
        bedrock = client(endpoint, "bedrock")
        model = wait_for_job(endpoint, create_job(endpoint))["outputModelArn"]
        for name in ("bad", "good"):
            create_deployment(endpoint, model, name)
        with pytest.raises(ClientError) as error:
            create_deployment(endpoint, model, "third")

        assert error_code(error) == "ServiceQuotaExceededException"
        bad = [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier="bad") for _ in range(2)][1]
        assert (bad["status"], bool(bad["failureMessage"])) == ("Failed", True)
        create_deployment(endpoint, model, "third")


def test_model_with_a_kms_key_needs_kms_decrypt_to_be_deployed_updated_and_called(tmp_path: Path) -> None:
    permissions = Permissions()
    with running_endpoint(trainable_bucket(), tmp_path, permissions) as endpoint:
        bedrock = client(endpoint, "bedrock")
        model = wait_for_job(endpoint, create_job(endpoint, customModelKmsKeyId=KEY))["outputModelArn"]
        deployment = create_deployment(endpoint, model)
        while bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployment)["status"] != "Active":
            pass
        assert converse(endpoint, deployment)["stopReason"] == "end_turn"

        permissions.denied = ("kms:Decrypt",)
        calls: list[Callable[[], Any]] = [
            lambda: create_deployment(endpoint, model, "other"),
            lambda: bedrock.update_custom_model_deployment(customModelDeploymentIdentifier=deployment, modelArn=model),
            lambda: converse(endpoint, deployment),
        ]
        for call in calls:
            with pytest.raises(ClientError, match="kms:Decrypt"):
                call()


def deployed_model(endpoint: Endpoint) -> str:
    """Train and deploy a model; return the ARN of its active deployment."""
    deployment = create_deployment(endpoint, wait_for_job(endpoint, create_job(endpoint))["outputModelArn"])
    bedrock = client(endpoint, "bedrock")
    while bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployment)["status"] != "Active":
        pass
    return deployment


def test_deployment_refuses_s3_locations_on_request_and_foundation_models_do_not(tmp_path: Path) -> None:
    s3 = trainable_bucket()
    with running_endpoint(s3, tmp_path, deployments_refuse_s3_location=True) as endpoint:
        deployment = deployed_model(endpoint)
        with pytest.raises(ClientError, match="s3Location") as error:
            converse(endpoint, deployment)

        assert error_code(error) == "ValidationException"
        by_bytes = converse(endpoint, deployment, source={"bytes": s3.objects["images/900/1.jpg"]})
        assert by_bytes["stopReason"] == converse(endpoint, STUDENT)["stopReason"] == "end_turn"


@pytest.mark.parametrize("denied", ["bedrock:InvokeModel", "bedrock:GetCustomModel"])
def test_deployment_needs_the_permissions_to_invoke_it_and_to_get_its_model(tmp_path: Path, denied: str) -> None:
    permissions = Permissions()
    with running_endpoint(trainable_bucket(), tmp_path, permissions) as endpoint:
        deployment = deployed_model(endpoint)

        assert converse(endpoint, deployment)["stopReason"] == "end_turn"
        permissions.denied = (denied,)
        with pytest.raises(ClientError, match=denied) as error:
            converse(endpoint, deployment)
        assert error_code(error) == "AccessDeniedException"
