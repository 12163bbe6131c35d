"""Which models and deployments of a run stay: the request's ``keep`` and ``keep_days``, and the report's gate."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from distillation import keys
from distillation.records import Run
from distillation.serving.resources import Kind
from distillation.storage import Bucket


def retained(run: Run, data: Bucket, now: datetime) -> set[tuple[Kind, str]]:
    """Return kind and name of what stays; nothing before there is a report, or once its days are over."""
    body = data.get_or_none(keys.report_key(run.name, "report.json"))
    if body is None or run.request.keep == "none" or is_expired(run, now):
        return set()
    report = json.loads(body)
    names = {model["model_name"] for model in report.get("models", []) if model["model_name"]}
    promoted = report.get("gate", {}).get("promoted")
    stays = names if run.request.keep == "all" else {promoted} & names
    taken = data.get_or_none(keys.deployment_key(run.name))
    # The deployment that was taken over serves the promoted model, whose own is no longer needed.
    deployed = (stays - {promoted}) | {json.loads(taken)["name"]} if taken else stays
    kept_ones: list[tuple[Kind, str]] = [
        *(("model", name) for name in stays),
        *(("deployment", one) for one in deployed),
    ]
    return set(kept_ones)


def is_expired(run: Run, now: datetime) -> bool:
    """Tell whether a run's models have outlived their stated life."""
    days = run.request.keep_days
    return days is not None and now > datetime.fromisoformat(run.created) + timedelta(days=days)
