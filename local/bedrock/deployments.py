"""Deployments, which make tuned models callable; one keeps its ARN while another model takes its place."""

from __future__ import annotations

import uuid
from typing import Any

from local.bedrock.faults import chosen
from local.bedrock.listing import Members, page
from local.bedrock.protocol import BedrockError
from local.bedrock.service import ARN_PREFIX, Entry, Operation, Service, now, public

_IN_PROGRESS = 2
_MEMBERS = Members(
    arn="customModelDeploymentArn",
    name="modelDeploymentName",
    created="createdAt",
    status="status",
    filters=(("modelArnEquals", "modelArn"),),
)
_SUMMARY = ("customModelDeploymentArn", "modelArn", "createdAt", "status")


def create_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Deploy a model; at most two deployments are in progress at once."""
    name = values["modelDeploymentName"]
    with service.lock:
        model = service.find(service.custom_models, values["modelArn"], "modelName")
        service.authorise(caller, "bedrock:CreateCustomModelDeployment", model["modelArn"])
        if values.get("tags"):
            service.authorise_any(caller, "bedrock:TagResource", "custom-model-deployment")
        for found in service.deployments.values():
            if found["modelDeploymentName"] == name:
                if found["_token"] is not None and found["_token"] == values.get("clientRequestToken"):
                    return {"customModelDeploymentArn": found["customModelDeploymentArn"]}
                raise BedrockError("ValidationException", f"The deployment name {name} is in use.")
        if sum(one["status"] == "Creating" for one in service.deployments.values()) >= _IN_PROGRESS:
            raise BedrockError("ServiceQuotaExceededException", "Two custom model deployments are in progress.")
        deployment = _deployment(model, values)
        arn = deployment["customModelDeploymentArn"]
        service.deployments[arn] = deployment
        service.tags[arn] = values.get("tags", [])
    return {"customModelDeploymentArn": arn}


def get_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a deployment; what was under way is done from the next look on."""
    service.authorise_any(caller, "bedrock:GetCustomModelDeployment", "custom-model-deployment")
    with service.lock:
        found = _find(service, values)
        seen = public(found)
        _go_on(service, found)
        return seen


def update_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Let another model take the place of the one that is deployed."""
    with service.lock:
        found = _find(service, values)
        arn = found["customModelDeploymentArn"]
        service.authorise(caller, "bedrock:UpdateCustomModelDeployment", arn)
        model = service.find(service.custom_models, values["modelArn"], "modelName")
        if found["status"] != "Active" or found["_next_model"]:
            raise BedrockError("ValidationException", "The deployment is being created or updated.")
        found["_next_model"] = model["modelArn"]
        found["updateDetails"] = {"modelArn": model["modelArn"], "updateStatus": "Updating"}
        found["lastUpdatedAt"] = now()
    return {"customModelDeploymentArn": arn}


def list_custom_model_deployments(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List deployments, the newest first."""
    service.authorise(caller, "bedrock:ListCustomModelDeployments", "*")
    with service.lock:
        found, more = page(service.deployments.values(), _MEMBERS, values)
    rows = [
        {name: one[name] for name in _SUMMARY} | {"customModelDeploymentName": one["modelDeploymentName"]}
        for one in found
    ]
    return {"modelDeploymentSummaries": rows, **more}


def delete_custom_model_deployment(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Delete a deployment; its model stays."""
    with service.lock:
        arn = _find(service, values)["customModelDeploymentArn"]
        service.authorise(caller, "bedrock:DeleteCustomModelDeployment", arn)
        del service.deployments[arn], service.tags[arn]
    return {}


def _deployment(model: Entry, values: dict[str, Any]) -> Entry:
    described = {"description": values["description"]} if "description" in values else {}
    return described | {
        "customModelDeploymentArn": f"{ARN_PREFIX}:custom-model-deployment/{uuid.uuid4().hex[:12]}",
        "modelDeploymentName": values["modelDeploymentName"],
        "modelArn": model["modelArn"],
        "createdAt": now(),
        "status": "Creating",
        "_token": values.get("clientRequestToken"),
        "_next_model": None,
    }


def _find(service: Service, values: dict[str, Any]) -> Entry:
    return service.find(service.deployments, values["customModelDeploymentIdentifier"], "modelDeploymentName")


def _go_on(service: Service, deployment: Entry) -> None:
    if deployment["status"] == "Creating":
        if chosen(service.faults.failing_deployments, deployment["modelDeploymentName"]):
            deployment.update(status="Failed", failureMessage="The deployment could not be created.")
        else:
            deployment["status"] = "Active"
    elif deployment["_next_model"]:
        deployment.update(modelArn=deployment["_next_model"], _next_model=None, lastUpdatedAt=now())
        deployment["updateDetails"] = deployment["updateDetails"] | {"updateStatus": "UpdateCompleted"}


OPERATIONS: dict[str, Operation] = {
    "CreateCustomModelDeployment": create_custom_model_deployment,
    "GetCustomModelDeployment": get_custom_model_deployment,
    "UpdateCustomModelDeployment": update_custom_model_deployment,
    "ListCustomModelDeployments": list_custom_model_deployments,
    "DeleteCustomModelDeployment": delete_custom_model_deployment,
}
