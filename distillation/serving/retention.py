"""Retention: which models and deployments of a run are kept, by the request's ``keep`` and ``keep_days``."""

from __future__ import annotations

from datetime import datetime, timedelta

from distillation.documents import Report
from distillation.records import Run
from distillation.run_documents import find_replaced_deployment, find_report
from distillation.serving.resources import Kind
from distillation.storage import Bucket


def retained(run: Run, data: Bucket, now: datetime) -> set[tuple[Kind, str]]:
    """Return kind and name of the models and deployments to keep; empty before the report and after ``keep_days``."""
    if run.request.keep == "none" or is_expired(run, now):
        return set()
    report = find_report(run.name, data)
    if not isinstance(report, Report):
        return set()
    promoted = report.promoted.model_name if report.promoted else None
    names = {model.model_name for model in report.models if model.model_name}
    models = names if run.request.keep == "all" else {promoted} & names
    deployments = models
    if replaced := find_replaced_deployment(run.name, data):
        # The replaced deployment serves the promoted model, so the model's own deployment is not needed.
        deployments = (models - {promoted}) | {replaced.deployment_name}
    return {
        *(("model", name) for name in models if name),
        *(("deployment", name) for name in deployments if name),
    }


def is_expired(run: Run, now: datetime) -> bool:
    """Return whether ``keep_days`` have passed since the run was created."""
    days = run.request.keep_days
    return days is not None and now > datetime.fromisoformat(run.created) + timedelta(days=days)
