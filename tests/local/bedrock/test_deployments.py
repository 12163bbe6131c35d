from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.local_bedrock import (
    KEY,
    Rights,
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
    rights = Rights()
    with running_endpoint(trainable_bucket(), tmp_path, rights) as endpoint:
        bedrock = client(endpoint, "bedrock")
        model = wait_for_job(endpoint, create_job(endpoint, customModelKmsKeyId=KEY))["outputModelArn"]
        deployment = create_deployment(endpoint, model)
        while bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployment)["status"] != "Active":
            pass
        assert converse(endpoint, deployment)["stopReason"] == "end_turn"

        rights.denied = ("kms:Decrypt",)
        calls: list[Callable[[], Any]] = [
            lambda: create_deployment(endpoint, model, "other"),
            lambda: bedrock.update_custom_model_deployment(customModelDeploymentIdentifier=deployment, modelArn=model),
            lambda: converse(endpoint, deployment),
        ]
        for call in calls:
            with pytest.raises(ClientError, match="kms:Decrypt"):
                call()
