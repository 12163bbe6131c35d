from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation.errors import DeploymentFailed
from distillation.events import DeployEvent, DeploymentResult
from distillation.serving.deployment import create_or_describe
from distillation.serving.tags import resource_tags
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.jobs import CREATED, DEPLOYMENT_ARN, MODEL_ARN


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
