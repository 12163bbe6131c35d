"""Foundation models of the table, and tuned models."""

from __future__ import annotations

from typing import Any

from lambdas.shared import families
from local.bedrock.protocol import BedrockError
from local.bedrock.service import REGION, Operation, Service, listed, public


def get_foundation_model(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a model of the table."""
    model = values["modelIdentifier"].rsplit("/", 1)[-1]
    if not any(model in (known.id, known.training_id) for known in families.MODELS.values()):
        raise BedrockError("ResourceNotFoundException", f"Model {model} not found.")
    arn = f"arn:aws:bedrock:{REGION}::foundation-model/{model}"
    service.authorise(caller, "bedrock:GetFoundationModel", arn)
    lifecycle = {"status": "ACTIVE"}
    return {"modelDetails": {"modelArn": arn, "modelId": model, "modelLifecycle": lifecycle}}


def get_custom_model(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a tuned model."""
    service.authorise_any(caller, "bedrock:GetCustomModel", "custom-model")
    return public(service.find(service.custom_models, values["modelIdentifier"], "modelName"))


def list_custom_models(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List tuned models."""
    service.authorise(caller, "bedrock:ListCustomModels", "*")
    names = ("modelArn", "modelName", "creationTime", "baseModelArn", "customizationType", "modelStatus")
    found = listed(service.custom_models, values, "modelName", "modelStatus")
    rows = [{n: one[n] for n in names} | {"baseModelName": one["_student"]} for one in found]
    return {"modelSummaries": rows}


def delete_custom_model(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Delete a model that is not deployed."""
    with service.lock:
        model = service.find(service.custom_models, values["modelIdentifier"], "modelName")
        service.authorise(caller, "bedrock:DeleteCustomModel", model["modelArn"])
        if any(one["modelArn"] == model["modelArn"] for one in service.deployments.values()):
            raise BedrockError("ConflictException", "The model is deployed.")
        del service.custom_models[model["modelArn"]]
    return {}


OPERATIONS: dict[str, Operation] = {
    "GetFoundationModel": get_foundation_model,
    "GetCustomModel": get_custom_model,
    "ListCustomModels": list_custom_models,
    "DeleteCustomModel": delete_custom_model,
}
