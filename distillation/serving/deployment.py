"""On-demand deployments of tuned models, one for each model, found by name; an idle deployment costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillation.aws_errors import pipeline_errors
from distillation.errors import DeploymentFailed
from distillation.events import DeploymentResult
from distillation.records import Run
from distillation.serving.resources import describe_by_name
from distillation.serving.tags import resource_tags
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def create_or_describe(
    run: Run, model_name: str, model_arn: str, data: Bucket, bedrock: BedrockClient
) -> DeploymentResult:
    """Return status and ARN of the model's deployment, which has the model's name; create it on the first call.

    Raises ``DeploymentFailed``, or ``QuotaExceeded`` while too many deployments are in progress.
    """
    deployment = describe_by_name(
        "deployment",
        model_name,
        lambda identifier: bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=identifier),
        bedrock,
    )
    if deployment is None:
        return DeploymentResult(status="Creating", deployment_arn=_create(run, model_name, model_arn, data, bedrock))
    if deployment["status"] == "Failed":
        reason = deployment.get("failureMessage") or "no reason given"
        raise DeploymentFailed(f"deployment {model_name}: {reason}")
    return DeploymentResult(status=deployment["status"], deployment_arn=deployment["customModelDeploymentArn"])


def _create(run: Run, model_name: str, model_arn: str, data: Bucket, bedrock: BedrockClient) -> str:
    with pipeline_errors(f"deployment {model_name}"):
        return bedrock.create_custom_model_deployment(
            modelDeploymentName=model_name,
            modelArn=model_arn,
            clientRequestToken=model_name,
            tags=resource_tags(run, data),
        )["customModelDeploymentArn"]
