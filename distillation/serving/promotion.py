"""Replace the model of an earlier run's deployment with a promoted model, so that callers keep the same ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillation import keys
from distillation.aws_errors import pipeline_errors
from distillation.documents import ReplacedDeployment, Report
from distillation.errors import DeploymentFailed
from distillation.events import PromoteResult
from distillation.records import Run
from distillation.serving.tags import resource_tags
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def promote(run: Run, data: Bucket, bedrock: BedrockClient) -> PromoteResult:
    """Start the replacement on the first call; return its status, and the ARN of the deployment to call.

    The status is Done, with nothing changed, if no model was promoted or the run replaces no deployment. Raises
    ``DeploymentFailed``.
    """
    report = data.read_document(keys.report_json_key(run.name), Report)
    model = report.promoted
    if model is None or model.model_arn is None or run.replaces is None:
        return PromoteResult(status="Done", deployment_arn=model.deployment_arn if model else None)
    with pipeline_errors(f"deployment {run.replaces}"):
        return _replace(run, run.replaces, model.model_arn, data, bedrock)


def _replace(run: Run, deployment_arn: str, model_arn: str, data: Bucket, bedrock: BedrockClient) -> PromoteResult:
    deployment = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=deployment_arn)
    update = deployment.get("updateDetails")
    status = update["updateStatus"] if update and update["modelArn"] == model_arn else None
    if deployment["modelArn"] == model_arn and not (update and update["updateStatus"] == "Updating"):
        status = "UpdateCompleted"  # Also if this run reuses the model that the deployment already serves.
    if status == "UpdateFailed":
        raise DeploymentFailed(
            f"deployment {deployment_arn} could not be updated to {model_arn}. It still serves its earlier model."
        )
    if status == "UpdateCompleted":
        # From now on this run's retention rules apply to the deployment.
        bedrock.tag_resource(resourceARN=deployment_arn, tags=resource_tags(run, data))
        replaced = ReplacedDeployment(
            deployment_name=deployment["modelDeploymentName"],
            deployment_arn=deployment_arn,
            model_arn=model_arn,
            replaces=run.request.replace or "",
        )
        data.write_document(keys.deployment_key(run.name), replaced)
        return PromoteResult(status="Done", deployment_arn=deployment_arn)
    if status is None:
        bedrock.update_custom_model_deployment(modelArn=model_arn, customModelDeploymentIdentifier=deployment_arn)
    return PromoteResult(status="Updating", deployment_arn=deployment_arn)
