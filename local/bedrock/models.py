"""Foundation models of the catalog, and tuned models."""

from __future__ import annotations

from typing import Any

from distillation.models import catalog
from local.bedrock.deployments import next_model
from local.bedrock.pagination import Members, page
from local.bedrock.protocol import BedrockError
from local.bedrock.service import Operation, Service, foundation_model_arn, is_local, model_by_training_id, student_of

_MEMBERS = Members(
    arn="modelArn",
    name="modelName",
    created="creationTime",
    status="modelStatus",
    filters=(("baseModelArnEquals", "baseModelArn"), ("foundationModelArnEquals", "baseModelArn")),
)
_SUMMARY = ("modelArn", "modelName", "creationTime", "baseModelArn", "customizationType", "modelStatus")
_LEGACY_SINCE, _END_OF_LIFE = "2026-06-01T00:00:00Z", "2027-06-01T00:00:00Z"


def get_foundation_model(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a local model by its id for inference or for customization."""
    id: str = values["modelIdentifier"].rsplit("/", 1)[-1]
    service.authorise(caller, "bedrock:GetFoundationModel", foundation_model_arn(id))
    model = catalog.models().get(id) or model_by_training_id(id)
    if model is None or not is_local(model.id):
        raise BedrockError("ResourceNotFoundException", f"The provided model identifier {id} is not found.")
    details = {
        "modelArn": foundation_model_arn(id),
        "modelId": id,
        "modelName": "local student" if model.training_id else "local teacher",
        "providerName": "this machine",
        "inputModalities": ["TEXT", "IMAGE"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": False,
        "customizationsSupported": ["FINE_TUNING"] if id == model.training_id else [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }
    if id in service.faults.legacy_models:
        details["modelLifecycle"] = {
            "status": "LEGACY",
            "legacyTime": _LEGACY_SINCE,
            "endOfLifeTime": _END_OF_LIFE,
        }
    return {"modelDetails": details}


def get_foundation_model_availability(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Return that the account may use a local model."""
    id: str = values["modelId"]
    service.authorise(caller, "bedrock:GetFoundationModelAvailability", "*")
    if not is_local(id) or id not in catalog.models():
        raise BedrockError("ResourceNotFoundException", f"The provided model identifier {id} is not found.")
    return {
        "modelId": id,
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    }


def get_custom_model(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a tuned model."""
    service.authorise_any(caller, "bedrock:GetCustomModel", "custom-model")
    return dict(service.find(service.custom_models, values["modelIdentifier"], "modelName"))


def list_custom_models(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List tuned models, newest first."""
    service.authorise(caller, "bedrock:ListCustomModels", "*")
    with service.lock:
        models, next_token = page(service.custom_models.values(), _MEMBERS, values)
    rows = [
        {name: model[name] for name in _SUMMARY} | {"baseModelName": student_of(model).id.partition(":")[0]}
        for model in models
    ]
    return {"modelSummaries": rows, **next_token}


def delete_custom_model(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Delete a model that is not deployed."""
    with service.lock:
        model = service.find(service.custom_models, values["modelIdentifier"], "modelName")
        arn = model["modelArn"]
        service.authorise(caller, "bedrock:DeleteCustomModel", arn)
        if any(arn in (deployment["modelArn"], next_model(deployment)) for deployment in service.deployments.values()):
            raise BedrockError("ConflictException", "The model is deployed; delete its deployment first.")
        del service.custom_models[arn], service.tags[arn], service.students[arn]
    return {}


OPERATIONS: dict[str, Operation] = {
    "GetFoundationModel": get_foundation_model,
    "GetFoundationModelAvailability": get_foundation_model_availability,
    "GetCustomModel": get_custom_model,
    "ListCustomModels": list_custom_models,
    "DeleteCustomModel": delete_custom_model,
}
