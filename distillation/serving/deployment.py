"""On-demand deployments of tuned models, one for each model, found by name; an idle deployment costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillation.bedrock_errors import BEDROCK_FAILURES, pipeline_errors, to_pipeline_error
from distillation.errors import DeploymentFailed
from distillation.events import DeploymentResult
from distillation.records import Run
from distillation.serving.tags import resource_tags

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def create_or_describe(run: Run, model_name: str, model_arn: str, bedrock: BedrockClient) -> DeploymentResult:
    """Return status and ARN of the model's deployment, which has the model's name; create it on the first call.

    Raises ``DeploymentFailed``, or ``QuotaExceeded`` while too many deployments are in progress.
    """
    try:
        deployment = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=model_name)
    except bedrock.exceptions.ResourceNotFoundException:
        return DeploymentResult(status="Creating", deployment_arn=_create(run, model_name, model_arn, bedrock))
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, f"deployment {model_name}") from error
    if deployment["status"] == "Failed":
        reason = deployment.get("failureMessage") or "no reason given"
        raise DeploymentFailed(f"deployment {model_name}: {reason}")
    return DeploymentResult(status=deployment["status"], deployment_arn=deployment["customModelDeploymentArn"])


def _create(run: Run, model_name: str, model_arn: str, bedrock: BedrockClient) -> str:
    with pipeline_errors(f"deployment {model_name}"):
        return bedrock.create_custom_model_deployment(
            modelDeploymentName=model_name,
            modelArn=model_arn,
            clientRequestToken=model_name,
            tags=resource_tags(run),
        )["customModelDeploymentArn"]
