"""Deployments, which make tuned models callable; an update replaces the model and keeps the ARN."""

from __future__ import annotations

import uuid
from typing import Any

from local.bedrock.faults import is_affected
from local.bedrock.pagination import Members, page
from local.bedrock.protocol import BedrockError
from local.bedrock.service import ARN_PREFIX, Entry, Operation, Service, timestamp

MAXIMUM_IN_PROGRESS = 2
_MEMBERS = Members(
    arn="customModelDeploymentArn",
    name="modelDeploymentName",
    created="createdAt",
    status="status",
    filters=(("modelArnEquals", "modelArn"),),
)
_SUMMARY = ("customModelDeploymentArn", "modelArn", "createdAt", "status")


def create_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Deploy a model; at most two deployments are in progress at the same time."""
    name = values["modelDeploymentName"]
    with service.lock:
        model = service.find(service.custom_models, values["modelArn"], "modelName")
        service.authorise(caller, "bedrock:CreateCustomModelDeployment", model["modelArn"])
        service.authorise_decryption(caller, model)
        if values.get("tags"):
            service.authorise_any(caller, "bedrock:TagResource", "custom-model-deployment")
        for arn, deployment in service.deployments.items():
            if deployment["modelDeploymentName"] == name:
                token = service.deployment_tokens[arn]
                if token is not None and token == values.get("clientRequestToken"):
                    return {"customModelDeploymentArn": arn}
                raise BedrockError("ValidationException", f"The deployment name {name} is in use.")
        creating = [deployment for deployment in service.deployments.values() if deployment["status"] == "Creating"]
        if len(creating) >= MAXIMUM_IN_PROGRESS:
            raise BedrockError("ServiceQuotaExceededException", "Two custom model deployments are in progress.")
        deployment = _new_deployment(model, values)
        service.add_deployment(deployment, values.get("tags", []), values.get("clientRequestToken"))
    return {"customModelDeploymentArn": deployment["customModelDeploymentArn"]}


def get_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a deployment; a creation or update in progress is finished for the next call."""
    service.authorise_any(caller, "bedrock:GetCustomModelDeployment", "custom-model-deployment")
    with service.lock:
        deployment = _find(service, values)
        description = dict(deployment)
        _finish_progress(service, deployment)
        return description


def update_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Replace the model of a deployment."""
    with service.lock:
        deployment = _find(service, values)
        arn = deployment["customModelDeploymentArn"]
        service.authorise(caller, "bedrock:UpdateCustomModelDeployment", arn)
        model = service.find(service.custom_models, values["modelArn"], "modelName")
        service.authorise(caller, "bedrock:UpdateCustomModelDeployment", model["modelArn"])
        service.authorise_decryption(caller, model)
        if deployment["status"] != "Active" or next_model(deployment):
            raise BedrockError("ValidationException", "The deployment is being created or updated.")
        deployment["updateDetails"] = {"modelArn": model["modelArn"], "updateStatus": "Updating"}
        deployment["lastUpdatedAt"] = timestamp()
    return {"customModelDeploymentArn": arn}


def list_custom_model_deployments(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List deployments, newest first."""
    service.authorise(caller, "bedrock:ListCustomModelDeployments", "*")
    with service.lock:
        deployments, next_token = page(service.deployments.values(), _MEMBERS, values)
    rows = [
        {name: deployment[name] for name in _SUMMARY} | {"customModelDeploymentName": deployment["modelDeploymentName"]}
        for deployment in deployments
    ]
    return {"modelDeploymentSummaries": rows, **next_token}


def delete_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Delete a deployment and keep its model."""
    with service.lock:
        arn = _find(service, values)["customModelDeploymentArn"]
        service.authorise(caller, "bedrock:DeleteCustomModelDeployment", arn)
        del service.deployments[arn], service.tags[arn], service.deployment_tokens[arn]
    return {}


def next_model(deployment: Entry) -> str | None:
    """Return the ARN of the model that an update in progress deploys, or None."""
    details = deployment.get("updateDetails", {})
    return details["modelArn"] if details.get("updateStatus") == "Updating" else None


def _new_deployment(model: Entry, values: dict[str, Any]) -> Entry:
    description = {"description": values["description"]} if "description" in values else {}
    return description | {
        "customModelDeploymentArn": f"{ARN_PREFIX}:custom-model-deployment/{uuid.uuid4().hex[:12]}",
        "modelDeploymentName": values["modelDeploymentName"],
        "modelArn": model["modelArn"],
        "createdAt": timestamp(),
        "status": "Creating",
    }


def _find(service: Service, values: dict[str, Any]) -> Entry:
    return service.find(service.deployments, values["customModelDeploymentIdentifier"], "modelDeploymentName")


def _finish_progress(service: Service, deployment: Entry) -> None:
    if deployment["status"] == "Creating":
        if is_affected(service.faults.failing_deployments, deployment["modelDeploymentName"]):
            deployment.update(status="Failed", failureMessage="The deployment could not be created.")
        else:
            deployment["status"] = "Active"
    elif model := next_model(deployment):
        deployment.update(modelArn=model, lastUpdatedAt=timestamp())
        deployment["updateDetails"] = deployment["updateDetails"] | {"updateStatus": "UpdateCompleted"}


OPERATIONS: dict[str, Operation] = {
    "CreateCustomModelDeployment": create_custom_model_deployment,
    "GetCustomModelDeployment": get_custom_model_deployment,
    "UpdateCustomModelDeployment": update_custom_model_deployment,
    "ListCustomModelDeployments": list_custom_model_deployments,
    "DeleteCustomModelDeployment": delete_custom_model_deployment,
}
