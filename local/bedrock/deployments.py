"""Deployments, which make tuned models callable."""

from __future__ import annotations

import uuid
from typing import Any

from local.bedrock.protocol import BedrockError
from local.bedrock.service import ARN_PREFIX, Operation, Service, listed, now

_IN_PROGRESS = 2


def create_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Deploy a model; at most two deployments are in progress at once."""
    with service.lock:
        model = service.find(service.custom_models, values["modelArn"], "modelName")
        service.authorise(caller, "bedrock:CreateCustomModelDeployment", model["modelArn"])
        for found in service.deployments.values():
            if found["modelDeploymentName"] == values["modelDeploymentName"]:
                raise BedrockError("ConflictException", "The deployment name is in use.")
        creating = [one for one in service.deployments.values() if one["status"] == "Creating"]
        if len(creating) >= _IN_PROGRESS:
            raise BedrockError("ServiceQuotaExceededException", "Two deployments are in progress.")
        arn = f"{ARN_PREFIX}:custom-model-deployment/{uuid.uuid4().hex[:12]}"
        service.deployments[arn] = {
            "customModelDeploymentArn": arn,
            "modelDeploymentName": values["modelDeploymentName"],
            "modelArn": model["modelArn"],
            "createdAt": now(),
            "status": "Creating",
        }
        service.tags[arn] = values.get("tags", [])
    return {"customModelDeploymentArn": arn}


def get_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a deployment; one that was Creating is Active from the next look on."""
    service.authorise_any(caller, "bedrock:GetCustomModelDeployment", "custom-model-deployment")
    with service.lock:
        identifier = values["customModelDeploymentIdentifier"]
        found = service.find(service.deployments, identifier, "modelDeploymentName")
        seen = dict(found)
        found["status"] = "Active"
        return seen


def list_custom_model_deployments(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List deployments."""
    service.authorise(caller, "bedrock:ListCustomModelDeployments", "*")
    found = listed(service.deployments, values, "modelDeploymentName", "status")
    names = ("customModelDeploymentArn", "modelArn", "createdAt", "status")
    rows = [{n: one[n] for n in names} | {"customModelDeploymentName": one["modelDeploymentName"]} for one in found]
    return {"modelDeploymentSummaries": rows}


def delete_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Delete a deployment; its model stays."""
    with service.lock:
        identifier = values["customModelDeploymentIdentifier"]
        found = service.find(service.deployments, identifier, "modelDeploymentName")
        arn = found["customModelDeploymentArn"]
        service.authorise(caller, "bedrock:DeleteCustomModelDeployment", arn)
        del service.deployments[arn]
    return {}


OPERATIONS: dict[str, Operation] = {
    "CreateCustomModelDeployment": create_custom_model_deployment,
    "GetCustomModelDeployment": get_custom_model_deployment,
    "ListCustomModelDeployments": list_custom_model_deployments,
    "DeleteCustomModelDeployment": delete_custom_model_deployment,
}
