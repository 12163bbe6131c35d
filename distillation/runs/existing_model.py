"""Use the model of an earlier run: ask its deployment (``apply``), or replace it by a newly tuned one (``replace``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distillation.aws_errors import AWS_FAILURES, is_not_found, to_pipeline_error
from distillation.documents import Report
from distillation.errors import InvalidRequest, excerpt
from distillation.models import catalog
from distillation.records import Request, Run, TrainedModel
from distillation.run_documents import find_replaced_deployment, find_report, find_run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

_FIELDS_WITH_APPLY = {"apply", "audit_share", "fallback", "max_usd", "service_tier", "tolerance"}
_FIELDS_OF_APPLY_ALONE = {"audit_share", "fallback"}
_COPIED_FIELDS = (
    "teacher",
    "ceiling",
    "student",
    "prompt",
    "student_prompt",
    "answers",
    "image_side",
    "quotas",
)
"""Fields of the earlier run: its model must be asked exactly as it was trained."""


def check_fields_with_apply(request: Request) -> None:
    """Raise ``InvalidRequest`` for a field that has no meaning if nothing is trained."""
    if others := sorted(request.model_fields_set - _FIELDS_WITH_APPLY):
        raise InvalidRequest(
            f"apply: {', '.join(others)} cannot be combined with apply, because the tuned model is asked as it was "
            f"trained (allowed: {', '.join(sorted(_FIELDS_WITH_APPLY - {'apply'}))})"
        )


def check_fields_without_apply(request: Request) -> None:
    """Raise ``InvalidRequest`` for a field that only a run with ``apply`` uses."""
    if others := sorted(request.model_fields_set & _FIELDS_OF_APPLY_ALONE):
        raise InvalidRequest(
            f"{', '.join(others)}: only a request with 'apply' asks the teacher about answers of a tuned model. Leave "
            f"{' and '.join(others)} out, or name the run of a tuned model in 'apply'."
        )


def check_tier(teacher: str, request: Request) -> None:
    """Raise ``InvalidRequest`` if the teacher does not have the service tier of the request."""
    if request.service_tier == "flex" and not catalog.get_model(teacher).has_price("input-flex"):
        raise InvalidRequest(f"service_tier: {teacher!r} has no flex tier. Leave service_tier out.")


def check_named_run(run: Run, shared_models: Sequence[str], data: Bucket) -> None:
    """Raise ``InvalidRequest`` if an uploaded request names a run of another collection that is not shared.

    The fields are ``apply`` and ``replace``. A user who may upload to one collection must not take over the deployment
    of another one. With ``replace``, every run that the deployment has belonged to is checked.
    """
    field = "apply" if run.request.apply else "replace"
    name = run.request.apply or run.request.replace
    while name is not None and name not in shared_models:
        named = find_run(name, data)
        # One message for both cases: an uploader does not learn which runs other collections have.
        if named is None or named.collection != run.collection:
            raise InvalidRequest(
                f"{field}: {excerpt(name)!r} is neither a run of collection {excerpt(run.collection)!r} nor one of the "
                "stage's shared_models, and a request that arrives by upload may name no other. Start the run with "
                "distill apply or distill start, which need the right to call StartExecution, or add the named run to "
                "shared_models of the stage in cdk.json and deploy again."
            )
        replaced = find_replaced_deployment(name, data) if field == "replace" else None
        name = replaced.replaces if replaced else None


def with_tuned_model(run: Run, data: Bucket, bedrock: BedrockClient) -> Run:
    """Return the run with the model that ``apply`` names and everything that it was trained with.

    An audited image gets as many answers of the teacher as a label of that run. Raises ``InvalidRequest`` if there is
    no such run, it has no active deployment, or its teacher does not have the service tier of the request.
    """
    tuned_run, model = _deployed_model("apply", run.request.apply or "", data, bedrock)
    check_tier(tuned_run.teacher.model, run.request)
    copied = {field: getattr(tuned_run, field) for field in _COPIED_FIELDS}
    request = run.request.model_copy(update={"samples_per_image": tuned_run.request.samples_per_image})
    return run.model_copy(update=copied | {"applies": model, "request": request})


def with_replaced_deployment(run: Run, data: Bucket, bedrock: BedrockClient) -> Run:
    """Return the run with the deployment whose model it replaces.

    Callers of that deployment keep sending the prompt of its student, so the new model must be trained with it. The
    teacher's prompt may be another one. Raises ``InvalidRequest``.
    """
    tuned_run, model = _deployed_model("replace", run.request.replace or "", data, bedrock)
    differing = [field for field in ("student", "student_prompt") if getattr(run, field) != getattr(tuned_run, field)]
    if differing:
        raise InvalidRequest(
            f"replace: {' and '.join(differing)} of run {tuned_run.name!r} differ from this request's, and callers of "
            "its deployment keep asking as before. Copy student and student_prompt from that run's request.json (the "
            "teacher's prompt may differ), or leave replace out and give callers the new deployment."
        )
    if run.request.keep == "none":
        raise InvalidRequest("replace: with keep 'none' no model remains that could replace another. Use best or all.")
    return run.model_copy(update={"replaces": model.deployment_arn})


def _deployed_model(field: str, name: str, data: Bucket, bedrock: BedrockClient) -> tuple[Run, TrainedModel]:
    tuned_run = find_run(name, data)
    if tuned_run is None:
        raise InvalidRequest(f"{field}: this stage has no run {excerpt(name)!r}. List its runs with: distill runs")
    model = _usable_model(field, tuned_run, data)
    _check_active(field, name, model, bedrock)
    return tuned_run, model


def _usable_model(field: str, tuned_run: Run, data: Bucket) -> TrainedModel:
    """Return the promoted model; without one, the best of those that ``keep: all`` kept."""
    report = find_report(tuned_run.name, data)
    if report is None or not report.is_final:
        raise InvalidRequest(f"{field}: run {tuned_run.name!r} has no final report: it is still running, or has failed")
    model = None
    if isinstance(report, Report):
        model = report.promoted or (report.best_model if tuned_run.request.keep == "all" else None)
    if model is None or not model.deployment_arn:
        raise InvalidRequest(f"{field}: run {tuned_run.name!r} promoted no model: {report.verdict}")
    if replaced := find_replaced_deployment(tuned_run.name, data):
        return model.model_copy(update={"deployment_arn": replaced.deployment_arn})
    return model


def _check_active(field: str, name: str, model: TrainedModel, bedrock: BedrockClient) -> None:
    """Raise ``InvalidRequest`` unless the deployment is active and serves this model."""
    try:
        deployment = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=model.deployment_arn or "")
    except AWS_FAILURES as error:
        if is_not_found(error):
            raise InvalidRequest(
                f"{field}: the deployment of run {name!r} no longer exists. Train again to get one."
            ) from None
        raise to_pipeline_error(error, f"deployment of run {name!r}") from error
    if deployment["modelArn"] != model.model_arn:
        raise InvalidRequest(
            f"{field}: run {name!r} was replaced: its deployment now serves the model of another run. Name that run."
        )
    if deployment["status"] != "Active":
        raise InvalidRequest(f"{field}: the deployment of run {name!r} is {deployment['status']}, not Active")
