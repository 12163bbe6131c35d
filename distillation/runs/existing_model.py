"""A run that applies another run's tuned model: the same prompt, settings and image side, asked of its deployment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from distillation import keys
from distillation.bedrock_errors import BEDROCK_FAILURES, to_pipeline_error
from distillation.errors import InvalidRequest
from distillation.records import Request, Run, TrainedModel
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

_BESIDE_APPLY = {"apply", "max_usd", "tolerance"}


def check_beside_apply(request: Request) -> None:
    """Raise ``InvalidRequest`` for a field that has no meaning where nothing is trained."""
    if others := sorted(request.model_fields_set - _BESIDE_APPLY):
        raise InvalidRequest(
            f"apply: {', '.join(others)} cannot be given beside it, for the tuned model is asked as it was trained; "
            f"allowed: {', '.join(sorted(_BESIDE_APPLY - {'apply'}))}"
        )


def with_tuned_model(run: Run, data: Bucket, bedrock: BedrockClient) -> Run:
    """Return the run with the model that ``apply`` names, and all that the model was trained with.

    Raises ``InvalidRequest`` when there is no such run, or no deployment of it that answers.
    """
    tuned, model = _deployed("apply", run.request.apply or "", data, bedrock)
    same = ("teacher", "ceiling", "student", "prompt", "answer_format", "limits", "side", "quotas")
    return run.model_copy(update={field: getattr(tuned, field) for field in same} | {"applies": model})


def with_replaced_deployment(run: Run, data: Bucket, bedrock: BedrockClient) -> Run:
    """Return the run with the deployment that its promoted model is to take over; raises ``InvalidRequest``.

    Whoever calls that deployment goes on sending the same prompt, so the new model must have learnt with it.
    """
    tuned, model = _deployed("replace", run.request.replace or "", data, bedrock)
    if (run.student, run.prompt) != (tuned.student, tuned.prompt):
        raise InvalidRequest(
            f"replace: run {tuned.name!r} has another student or prompt, and its deployment's callers would not know; "
            "train with the same, or leave replace out and tell the callers the new deployment"
        )
    if run.request.keep == "none":
        raise InvalidRequest("replace: keep is none, so no model would stay to take over; say best or all")
    return run.model_copy(update={"replaces": model.deployment_arn})


def _deployed(field: str, name: str, data: Bucket, bedrock: BedrockClient) -> tuple[Run, TrainedModel]:
    body = data.get_or_none(keys.request_key(name))
    if body is None:
        raise InvalidRequest(f"{field}: no run {name!r} in this stage; `distill runs` lists them")
    tuned = Run.model_validate_json(body)
    model = _model(field, tuned, data)
    _check_active(field, name, model, bedrock)
    return tuned, model


def _model(field: str, tuned: Run, data: Bucket) -> TrainedModel:
    """Return the promoted model, or where none was, the best of those that ``keep: all`` has kept."""
    body = data.get_or_none(keys.report_key(tuned.name, "report.json"))
    if body is None:
        raise InvalidRequest(f"{field}: run {tuned.name!r} has no report: it has not ended, or has failed")
    report = json.loads(body)
    gate: dict[str, Any] = report.get("gate") or {}
    for model in report.get("models", []):
        if model["deployment_arn"] and (model["model_name"] == gate.get("promoted") or _is_best(model, gate, tuned)):
            taken = data.get_or_none(keys.deployment_key(tuned.name))
            deployment = json.loads(taken)["arn"] if taken else model["deployment_arn"]
            size, name, arn = model["size"], model["model_name"], model["model_arn"]
            return TrainedModel(size=size, status="Active", model_name=name, model_arn=arn, deployment_arn=deployment)
    raise InvalidRequest(f"{field}: run {tuned.name!r} has promoted no model: {report['verdict']}")


def _is_best(model: dict[str, Any], gate: dict[str, Any], tuned: Run) -> bool:
    return tuned.request.keep == "all" and not gate.get("promoted") and gate.get("best") == f"n{model['size']}"


def _check_active(field: str, name: str, model: TrainedModel, bedrock: BedrockClient) -> None:
    try:
        found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=model.deployment_arn or "")
    except bedrock.exceptions.ResourceNotFoundException:
        raise InvalidRequest(f"{field}: the deployment of run {name!r} is gone; train again to have one") from None
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, f"deployment of run {name!r}") from error
    if found["modelArn"] != model.model_arn:
        raise InvalidRequest(
            f"{field}: run {name!r} was replaced: its deployment now serves another run's model; name that run"
        )
    if found["status"] != "Active":
        raise InvalidRequest(f"{field}: the deployment of run {name!r} is {found['status']}, not Active")
