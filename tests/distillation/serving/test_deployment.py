from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation.errors import DeploymentFailed
from distillation.events import DeployEvent, DeploymentResult
from distillation.serving.deployment import create_or_describe
from distillation.serving.tags import resource_tags
from local.bedrock import Endpoint
from tests.support.bedrock_state import ARN, BASE, add_resources
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.training_jobs import CREATED, DEPLOYMENT_ARN, MODEL_ARN

MODEL = DeployEvent(run="holiday-1", size=12, model_name="holiday-1-n12-a2", model_arn=MODEL_ARN)


def test_deployment_is_created_then_described_and_its_failure_has_the_reason(
    bedrock_client: Any, bedrock: Stubber
) -> None:
    description = {
        "customModelDeploymentArn": DEPLOYMENT_ARN,
        "modelDeploymentName": "n",
        "modelArn": MODEL_ARN,
        "createdAt": CREATED,
    }
    bedrock.add_client_error("get_custom_model_deployment", "ResourceNotFoundException")
    bedrock.add_response(
        "create_custom_model_deployment",
        {"customModelDeploymentArn": DEPLOYMENT_ARN},
        {
            "modelDeploymentName": "holiday-1-n12-a2",
            "modelArn": MODEL_ARN,
            "clientRequestToken": "holiday-1-n12-a2",
            "tags": resource_tags(any_run(), bucket()),
        },
    )
    bedrock.add_response("get_custom_model_deployment", description | {"status": "Active"})
    failed = {"status": "Failed", "failureMessage": "no room"}
    bedrock.add_response("get_custom_model_deployment", description | failed)

    for status in ("Creating", "Active"):
        result = create_or_describe(any_run(), MODEL, bucket(), bedrock_client, lambda: False)
        assert result == DeploymentResult(status=status, deployment_arn=DEPLOYMENT_ARN)
    with pytest.raises(DeploymentFailed, match="no room"):
        create_or_describe(any_run(), MODEL, bucket(), bedrock_client, lambda: False)


def test_reused_model_gets_a_deployment_of_the_runs_own(endpoint: Endpoint, client: Any) -> None:
    add_resources(endpoint, "earlier", 12)
    model = endpoint.service.custom_models[f"{ARN}:custom-model/{BASE}/{12:012x}"]
    event = DeployEvent(run="holiday-1", size=12, model_name="earlier-n12-a1", model_arn=model["modelArn"])
    create_or_describe(any_run(), event, bucket(), client, lambda: False)
    names = [deployment["modelDeploymentName"] for deployment in endpoint.service.deployments.values()]

    assert names == ["earlier-n12-a1", "holiday-1-n12-a1"]


def test_deployment_that_bedrock_creates_after_the_execution_was_stopped_is_deleted(
    endpoint: Endpoint, client: Any
) -> None:
    add_resources(endpoint, "holiday-1", 12)
    endpoint.service.deployments.clear()
    model = endpoint.service.custom_models[f"{ARN}:custom-model/{BASE}/{12:012x}"]
    event = DeployEvent(run="holiday-1", size=12, model_name="holiday-1-n12-a1", model_arn=model["modelArn"])
    stopped: list[bool] = []
    client.meta.events.register("after-call.bedrock.CreateCustomModelDeployment", lambda **_: stopped.append(True))
    with pytest.raises(DeploymentFailed, match="the execution of the run has ended, so the deployment was deleted"):
        create_or_describe(any_run(), event, bucket(), client, lambda: bool(stopped))

    assert endpoint.service.deployments == {}
    assert endpoint.service.custom_models
