"""One on-demand deployment per tuned model, found again by its name; idle it costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distillation.bedrock_errors import BEDROCK_FAILURES, pipeline_errors, to_pipeline_error
from distillation.errors import DeploymentFailed
from distillation.records import Run
from distillation.serving.tags import tags

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def create_or_describe(run: Run, name: str, model: str, bedrock: BedrockClient) -> dict[str, Any]:
    """Return ``{status, deployment}``, creating the deployment on the first call.

    Raises ``DeploymentFailed``, or ``QuotaExceeded`` while two others are in progress.
    """
    try:
        found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=name)
    except bedrock.exceptions.ResourceNotFoundException:
        return {"status": "Creating", "deployment_arn": _create(run, name, model, bedrock)}
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, f"deployment {name}") from error
    if found["status"] == "Failed":
        reason = found.get("failureMessage") or "no reason given"
        raise DeploymentFailed(f"deployment {name}: {reason}")
    return {"status": found["status"], "deployment_arn": found["customModelDeploymentArn"]}


def _create(run: Run, name: str, model: str, bedrock: BedrockClient) -> str:
    with pipeline_errors(f"deployment {name}"):
        return bedrock.create_custom_model_deployment(
            modelDeploymentName=name, modelArn=model, clientRequestToken=name, tags=tags(run.name)
        )["customModelDeploymentArn"]
