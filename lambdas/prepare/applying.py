"""A run that applies another run's tuned model: the same prompt, settings and image side, asked of its deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambdas.shared import layout
from lambdas.shared.errors import BadRequest
from lambdas.shared.objects import Objects
from lambdas.shared.records import Request, Run, TrainedModel

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

_BESIDE_APPLY = {"apply", "max_usd", "tolerance"}


def check_beside_apply(request: Request) -> None:
    """Raise ``BadRequest`` for a field that has no meaning where nothing is trained."""
    if others := sorted(request.model_fields_set - _BESIDE_APPLY):
        raise BadRequest(
            f"apply: {', '.join(others)} cannot be given beside it, for the tuned model is asked as it was trained; "
            f"allowed: {', '.join(sorted(_BESIDE_APPLY - {'apply'}))}"
        )


def with_tuned_model(run: Run, data: Objects, bedrock: BedrockClient) -> Run:
    """Return the run with the model that ``apply`` names, and all that the model was trained with.

    Raises ``BadRequest`` when there is no such run, or no deployment of it that answers.
    """
    name = run.request.apply or ""
    body = data.find(layout.request(name))
    if body is None:
        raise BadRequest(f"apply: no run {name!r} in this stage; `distill runs` lists them")
    tuned = Run.model_validate_json(body)
    model = _model(tuned, data)
    _check_active(name, model, bedrock)
    same = ("teacher", "ceiling", "student", "prompt", "answer_format", "limits", "side", "quotas")
    return run.model_copy(update={field: getattr(tuned, field) for field in same} | {"applies": model})


def _model(tuned: Run, data: Objects) -> TrainedModel:
    """Return the promoted model, or where none was, the best of those that ``keep: all`` has kept."""
    body = data.find(layout.report(tuned.run, "report.json"))
    if body is None:
        raise BadRequest(f"apply: run {tuned.run!r} has no report: it has not ended, or has failed")
    report = data.read_json(layout.report(tuned.run, "report.json"))
    gate: dict[str, Any] = report.get("gate") or {}
    for model in report.get("models", []):
        if model["deployment"] and (model["name"] == gate.get("promoted") or _is_best(model, gate, tuned)):
            return TrainedModel(
                size=model["size"], status="Active", model=model["name"], deployment=model["deployment"]
            )
    raise BadRequest(f"apply: run {tuned.run!r} has promoted no model: {report['verdict']}")


def _is_best(model: dict[str, Any], gate: dict[str, Any], tuned: Run) -> bool:
    return tuned.request.keep == "all" and not gate.get("promoted") and gate.get("best") == f"n{model['size']}"


def _check_active(name: str, model: TrainedModel, bedrock: BedrockClient) -> None:
    try:
        found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=model.deployment or "")
    except bedrock.exceptions.ResourceNotFoundException:
        raise BadRequest(f"apply: the deployment of run {name!r} is gone; train again to have one") from None
    if found["status"] != "Active":
        raise BadRequest(f"apply: the deployment of run {name!r} is {found['status']}, not Active")
