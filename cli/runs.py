"""``distill runs``: list the runs of a stage, or compare some of them field by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli.console import print_json, print_line, print_table
from cli.stage import Stage, check_run_name, run_not_found
from distillation import keys
from distillation.documents import AnyReport, Failure, Manifest, ReplacedDeployment, Report
from distillation.errors import AccessDenied, ServiceUnavailable
from distillation.records import Run
from distillation.run_documents import find_replaced_deployment, find_report, find_run
from distillation.serving.execution_state import execution_state

_COLUMNS = ("run", "created", "status", "photos", "base", "tuned", "ceiling", "promoted", "usd")
_STATUSES = {"RUNNING": "running", "SUCCEEDED": "complete", "FAILED": "failed", "ABORTED": "stopped"}
"""Status of a run without a final report, keyed by the status of its execution."""


def list_runs(stage: Stage, names: Sequence[str], *, as_json: bool) -> None:
    """List all runs, newest first, or compare the named runs. Raises ``CommandError`` if a named run does not exist."""
    if names:
        names = list(map(check_run_name, names))
        _print_comparison([_run_summary(name, stage) for name in names], as_json=as_json)
        return
    request_keys = (key for key in stage.data.keys("runs/") if key.endswith("/request.json") and key.count("/") == 2)
    summaries = [_run_summary(key.split("/")[1], stage) for key in request_keys]
    summaries.sort(key=lambda summary: summary["created"], reverse=True)
    if as_json:
        print_json(summaries)
    elif not summaries:
        print_line(f"Stage {stage.name} has no runs yet.")
    else:
        print_table([list(_COLUMNS), *([_format_value(run.get(name)) for name in _COLUMNS] for run in summaries)])


def _print_comparison(runs: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(runs)
        return
    names = list(dict.fromkeys(name for run in runs for name in run))
    rows = [[name, *(_format_value(run.get(name)) for run in runs)] for name in names]
    print_table([["≠" if len(set(row[1:])) > 1 else "", *row] for row in rows])


def _run_summary(name: str, stage: Stage) -> dict[str, Any]:
    """Return the request, inputs and results of a run as one flat record."""
    data = stage.data
    run = find_run(name, data)
    if run is None:
        raise run_not_found(name, data)
    report, replaced = find_report(name, data), find_replaced_deployment(name, data)
    manifest = data.find_document(keys.manifest_key(name), Manifest)
    failure = data.find_document(keys.failure_key(name), Failure)
    return {
        "run": name,
        "created": run.created,
        "collection": run.collection,
        "status": _status(run, report, failure, stage),
        "applied": run.request.apply,
        "photos": report.photos if report else None,
        "teacher": run.teacher.model,
        "student": run.student,
        **_scores(report),
        "usd": report.usd if report else None,
        "code": manifest.code if manifest else None,
        "prompt_sha256": manifest.prompt_sha256 if manifest else None,
        "labeler": run.teacher.id,
        **(_inputs(manifest) if manifest else {}),
        "keep": run.request.keep,
        "keep_days": run.request.keep_days,
        "deployments": _deployments(report, replaced),
        "took_over": replaced.deployment_arn if replaced else None,
        "failure": failure.cause if failure else None,
    }


def _status(run: Run, report: AnyReport | None, failure: Failure | None, stage: Stage) -> str:
    """Return the status of a final report, or else how the run failed, ended or continues."""
    if report and report.is_final:
        return report.status
    if failure:
        return "failed"
    status = _execution_status(run, stage)
    return report.status if report and status.startswith("running") else status


def _execution_status(run: Run, stage: Stage) -> str:
    """Return the status of the execution of a run that has no final report and did not record a failure."""
    try:
        state = execution_state(stage.client("stepfunctions"), run.execution)
    except (AccessDenied, ServiceUnavailable):
        return "running or stopped"
    if state.status is None:
        return "ended"  # Step Functions has deleted the execution, 90 days after its end.
    return _STATUSES.get(state.status, state.status.lower().replace("_", " "))


def _inputs(manifest: Manifest) -> dict[str, Any]:
    """Return hyperparameters and dataset hashes, one field for each size and file."""
    return {
        **{f"hyperparameters.{size}": values for size, values in manifest.hyperparameters.items()},
        **{f"sha256 of {key.rsplit('/', 1)[-1]}": sha256 for key, sha256 in manifest.datasets_sha256.items()},
    }


def _deployments(report: AnyReport | None, replaced: ReplacedDeployment | None) -> list[str]:
    """Return the ARNs of the models' own deployments.

    A promoted model that took over an existing deployment no longer has one of its own.
    """
    if not isinstance(report, Report):
        return []
    without_own = report.promoted if replaced else None
    return [model.deployment_arn for model in report.models if model.deployment_arn and model != without_own]


def _scores(report: AnyReport | None) -> dict[str, Any]:
    """Return the mean agreement of base, best model and ceiling, and the best and promoted models."""
    if not isinstance(report, Report) or report.evaluation is None:
        return dict.fromkeys(("base", "tuned", "ceiling", "best", "promoted"))
    best, jaccard = report.evaluation.best, report.evaluation.agreement
    scores = {"base": jaccard.base, "tuned": jaccard.tuned[best], "ceiling": jaccard.ceiling}
    return {
        **{name: score.mean if score else None for name, score in scores.items()},
        "best": best,
        "promoted": report.promoted.model_name if report.promoted else None,
    }


def _format_value(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
