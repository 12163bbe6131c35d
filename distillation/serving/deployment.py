"""On-demand deployments of tuned models, one for each model, found by name; an idle deployment costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from distillation import keys
from distillation.aws_errors import pipeline_errors
from distillation.errors import DeploymentFailed
from distillation.events import DeployEvent, DeploymentResult
from distillation.records import Run
from distillation.serving.resources import delete_deployment, describe_by_name
from distillation.serving.tags import resource_tags
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def create_or_describe(
    run: Run, model: DeployEvent, data: Bucket, bedrock: BedrockClient, execution_has_ended: Callable[[], bool]
) -> DeploymentResult:
    """Return status and ARN of the model's deployment; create it on the first call.

    A deployment that is created while the run's execution is stopped is deleted again. Raises ``DeploymentFailed``, or
    ``QuotaExceeded`` while too many deployments are in progress.
    """
    name = keys.deployment_name(run.name, model.size, model.model_name)
    deployment = describe_by_name(
        "deployment",
        name,
        lambda identifier: bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=identifier),
        bedrock,
    )
    if deployment is None:
        arn = _create(run, name, model.model_arn, data, bedrock)
        result = DeploymentResult(status="Creating", deployment_arn=arn)
    else:
        arn = deployment["customModelDeploymentArn"]
        result = DeploymentResult(status=deployment["status"], deployment_arn=arn)
    if execution_has_ended():
        delete_deployment(name, arn, bedrock)
        raise DeploymentFailed(f"deployment {name}: the execution of the run has ended, so the deployment was deleted.")
    if deployment is not None and deployment["status"] == "Failed":
        raise DeploymentFailed(f"deployment {name}: {deployment.get('failureMessage') or 'no reason given'}")
    return result


def _create(run: Run, name: str, model_arn: str, data: Bucket, bedrock: BedrockClient) -> str:
    with pipeline_errors(f"deployment {name}"):
        return bedrock.create_custom_model_deployment(
            modelDeploymentName=name,
            modelArn=model_arn,
            clientRequestToken=name,
            tags=resource_tags(run, data),
        )["customModelDeploymentArn"]
