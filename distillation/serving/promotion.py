"""Let a promoted model take over the deployment of an earlier run, so that its callers change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distillation import keys
from distillation.bedrock_errors import pipeline_errors
from distillation.errors import DeploymentFailed
from distillation.records import Run
from distillation.serving.tags import tags
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def promote(run: Run, data: Bucket, bedrock: BedrockClient) -> dict[str, Any]:
    """Return ``{status, deployment}``, an ARN, starting the change on the first call; Done or Updating.

    Done at once, and nothing changed, where the request replaces none or no model was promoted. Raises
    ``DeploymentFailed``.
    """
    report = data.read_json(keys.report_key(run.name, "report.json"))
    promoted = report["gate"].get("promoted")
    model = next((model for model in report.get("models", []) if promoted and model["model_name"] == promoted), None)
    if model is None or run.replaces is None:
        return {"status": "Done", "deployment_arn": model["deployment_arn"] if model else None}
    with pipeline_errors(f"deployment {run.replaces}"):
        return _go_on(run, run.replaces, model["model_arn"], data, bedrock)


def _go_on(run: Run, arn: str, model: str, data: Bucket, bedrock: BedrockClient) -> dict[str, Any]:
    found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
    update = found.get("updateDetails")
    status = update["updateStatus"] if update and update["modelArn"] == model else None
    if status == "UpdateFailed":
        raise DeploymentFailed(f"deployment {arn} did not take {model}; it goes on with the model that it had")
    if status == "UpdateCompleted":
        # From now on it belongs to this run: what is kept of it, and for how long, is this run's to say.
        bedrock.tag_resource(resourceARN=arn, tags=tags(run.name))
        kept = {"name": found["modelDeploymentName"], "arn": arn, "model": model, "replaces": run.request.replace}
        data.write_json(keys.deployment_key(run.name), kept)
        return {"status": "Done", "deployment_arn": arn}
    if status is None:
        bedrock.update_custom_model_deployment(modelArn=model, customModelDeploymentIdentifier=arn)
    return {"status": "Updating", "deployment_arn": arn}
