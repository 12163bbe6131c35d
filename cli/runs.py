"""``distill runs``: list the runs of a stage, or compare some of them field by field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cli.console import format_table, print_json, print_line
from cli.stage import Stage, run_not_found
from distillation import keys
from distillation.records import Run
from distillation.storage import Bucket

_COLUMNS = ("run", "created", "status", "photos", "base", "tuned", "ceiling", "promoted", "usd")


def list_runs(stage: Stage, names: Sequence[str], *, as_json: bool) -> None:
    """List all runs, newest first, or compare the named runs. Raise ``CommandError`` if a named run does not exist."""
    if names:
        _print_comparison([_run_summary(stage.data, name) for name in names], as_json=as_json)
        return
    request_keys = (key for key in stage.data.keys("runs/") if key.endswith("/request.json") and key.count("/") == 2)
    summaries = [_run_summary(stage.data, key.split("/")[1]) for key in request_keys]
    summaries.sort(key=lambda summary: summary["created"], reverse=True)
    if as_json:
        print_json(summaries)
    elif not summaries:
        print_line(f"Stage {stage.name} has no runs yet.")
    else:
        print_line(
            format_table([list(_COLUMNS), *([_format_value(run.get(name)) for name in _COLUMNS] for run in summaries)])
        )


def _print_comparison(runs: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(runs)
        return
    names = list(dict.fromkeys(name for run in runs for name in run))
    rows = [[name, *(_format_value(run.get(name)) for run in runs)] for name in names]
    print_line(format_table([["≠" if len(set(row[1:])) > 1 else "", *row] for row in rows]))


def _run_summary(data: Bucket, name: str) -> dict[str, Any]:
    """Return the request, inputs and results of a run as one flat record."""
    body = data.get_or_none(keys.request_key(name))
    if body is None:
        raise run_not_found(name, data)
    run = Run.model_validate_json(body)
    took_over = _read_json(data, keys.deployment_key(name)).get("arn")
    report, lineage, failure = (
        _read_json(data, key)
        for key in (keys.report_key(name, "report.json"), keys.manifest_key(name), keys.failure_key(name))
    )
    return {
        "run": name,
        "created": run.created,
        "collection": run.collection,
        "status": report.get("status") or ("failed" if failure else "running or stopped"),
        "applied": run.request.apply,
        "photos": report.get("photos"),
        "teacher": run.teacher.model,
        "student": run.student,
        **_scores(report),
        "usd": report.get("usd"),
        "code": lineage.get("code"),
        "prompt_sha256": lineage.get("prompt_sha256"),
        "labeler": run.teacher.id,
        **{f"hyperparameters.{key}": value for key, value in lineage.get("hyperparameters", {}).items()},
        **{f"sha256 of {key.rsplit('/', 1)[-1]}": h for key, h in lineage.get("datasets_sha256", {}).items()},
        "keep": run.request.keep,
        "keep_days": run.request.keep_days,
        "deployments": _deployments(report, took_over),
        "took_over": took_over,
        "failure": failure.get("cause"),
    }


def _deployments(report: dict[str, Any], took_over: str | None) -> list[str]:
    """Return the ARNs of the models' own deployments.

    A promoted model that took over an existing deployment no longer has one of its own.
    """
    promoted = (report.get("gate") or {}).get("promoted") if took_over else None
    models = (model for model in report.get("models", []) if model.get("deployment_arn"))
    return [model["deployment_arn"] for model in models if not promoted or model["model_name"] != promoted]


def _scores(report: dict[str, Any]) -> dict[str, Any]:
    """Return the mean Jaccard index of base, best model and ceiling, and the best and promoted models."""
    means, gate = report.get("jaccard") or {}, report.get("gate") or {}
    best = str(gate.get("best", "")).removeprefix("n")
    found = {"base": means.get("base"), "tuned": means.get("tuned", {}).get(best), "ceiling": means.get("ceiling")}
    scores = {name: score["mean"] if score else None for name, score in found.items()}
    return {**scores, "best": gate.get("best"), "promoted": gate.get("promoted")}


def _read_json(data: Bucket, key: str) -> dict[str, Any]:
    body = data.get_or_none(key)
    return json.loads(body) if body else {}


def _format_value(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
