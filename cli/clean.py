"""``distill clean``: list the Bedrock resources of a stage with their cost, and delete them with ``--yes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cli.console import CommandError, print_json, print_line, print_table, quantity
from cli.stage import Stage, check_run_name, run_not_found
from distillation import keys
from distillation.models import catalog
from distillation.run_documents import find_run
from distillation.serving.execution_state import execution_state
from distillation.serving.resources import BedrockResource, delete, remove_tag, stop
from distillation.serving.sweep import Sweeper, unknown
from distillation.serving.tags import USED_BY_PREFIX
from distillation.storage import Bucket

_KEYS_PER_REQUEST = 1000
"""Maximum number of keys in one DeleteObjects request of S3."""


def clean_stage(
    stage: Stage, run: str | None, *, objects: bool, include_unknown: bool, confirmed: bool, as_json: bool
) -> None:
    """List a stage's jobs, deployments and models, and delete the selected ones if ``confirmed``.

    This selects all resources of ``run``, or without ``run`` all that no run retains. Unknown deployments and models,
    which belong to no run in the Data bucket, are selected only by their run or with ``include_unknown``. ``objects``
    also selects the run's objects in S3. A model that ``run`` reuses stays for the other runs that keep it. Jobs are
    stopped first, then deployments, models and objects are deleted.
    Raises ``CommandError`` if the run does not exist or must not be cleaned.
    """
    if include_unknown and run:
        raise CommandError("--unknown and --run select different resources. Pass one of them.")
    if objects and not run:
        raise CommandError("--objects deletes the objects of one run only. Name the run with --run RUN.")
    if run:
        check_run_name(run)
    client = stage.client("stepfunctions")
    sweeper = Sweeper(
        stage.name, stage.data, stage.client("bedrock"), partial(execution_state, client), datetime.now(UTC)
    )
    jobs, deployments_and_models = sweeper.resources()
    resources = [*jobs, *deployments_and_models]
    leftovers, unknown_resources = sweeper.leftovers(resources), unknown(resources, stage.data)
    if run:
        selected = _resources_of_run(run, resources, sweeper)
    else:
        # No caller uses a job, so Sweep stops unknown jobs too.
        unwanted = [resource for resource in unknown_resources if include_unknown or resource.kind == "job"]
        selected = [*leftovers, *unwanted]
    released = [resource for resource in resources if run in resource.runs[1:]]
    selected_keys = _run_keys(stage.data, run) if run and objects else []
    retention = {resource.arn: "not retained" for resource in leftovers}
    retention |= {resource.arn: "unknown" for resource in unknown_resources}
    rows = [_row(resource, resource in selected, retention, sweeper.now) for resource in resources]
    if as_json:
        print_json(rows)
    elif rows:
        _print_table(rows)
    else:
        print_line(f"Stage {stage.name} has no jobs, deployments or models at Bedrock.")
    if confirmed:
        stop([resource for resource in selected if resource.kind == "job"], sweeper.bedrock)
        unused = [resource for resource in selected if resource.kind != "job"]

        def is_used_by_others(resource: BedrockResource) -> bool:
            return any(sweeper.retention.is_kept_by(user, resource) for user in resource.runs if user != run)

        deleted = delete(unused, sweeper.bedrock, keeps=is_used_by_others)
        selected = [resource for resource in selected if resource.kind == "job" or str(resource) in deleted]
        for model in released:
            remove_tag(model, f"{USED_BY_PREFIX}{run}", sweeper.bedrock)
        _delete_objects(stage.data, selected_keys)
    if not as_json:
        outcome = "Deleted" if confirmed else "Nothing was deleted. --yes would delete"
        print_line(f"{outcome}: {_summary(selected, selected_keys)}.")
        _print_released(released, run, confirmed=confirmed)
        _print_unselected([resource for resource in unknown_resources if resource not in selected], stage.data)


def _resources_of_run(run: str, resources: Sequence[BedrockResource], sweeper: Sweeper) -> list[BedrockResource]:
    """Return the resources of a run.

    Raises ``CommandError`` if the run does not exist or is still running, or if another run's deployment serves a model
    of the run.
    """
    selected = [resource for resource in resources if resource.run == run]
    request = find_run(run, sweeper.data)
    if request is None and not selected:
        raise run_not_found(run, sweeper.data)
    if request is not None and sweeper.execution_state(request.execution).is_running:
        raise CommandError(f"run {run!r} is still running. Stop it with: distill stop {run}")
    models = {resource.arn for resource in selected if resource.kind == "model"}
    for resource in selected:
        if users := [user for user in resource.runs if user != run and sweeper.retention.is_kept_by(user, resource)]:
            raise CommandError(
                f"{resource} of run {run!r} is reused by run {users[0]!r}. Clean run {users[0]!r} first."
            )
    for resource in resources:
        if resource.model_arn in models and resource.run != run:
            raise CommandError(
                f"{resource} of run {resource.run!r} serves a model of run {run!r}. Clean run {resource.run!r} first."
            )
    return selected


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    header = ["", "kind", "name", "status", "days", "$ a month", "run", "reused by", "retention"]
    columns = ("kind", "name", "status", "days", "usd_a_month", "run")
    cells = [
        [
            "*" if row["selected"] else "",
            *(str(row[name]) for name in columns),
            ", ".join(row["reused_by"]) or "-",
            row["retention"],
        ]
        for row in rows
    ]
    print_table([header, *cells])


def _row(resource: BedrockResource, selected: bool, retention: Mapping[str, str], now: datetime) -> dict[str, Any]:
    return {
        "kind": resource.kind,
        "name": resource.name,
        "arn": resource.arn,
        "status": resource.status,
        "days": (now - resource.created).days,
        "usd_a_month": _monthly_usd(resource),
        "run": resource.run,
        "reused_by": resource.runs[1:],
        "data_bucket": resource.data_bucket,
        "retention": retention.get(resource.arn, "retained or running"),
        "selected": selected,
    }


def _monthly_usd(resource: BedrockResource) -> float:
    """Return the storage cost of a tuned model in US dollars. Jobs and idle on-demand deployments cost nothing."""
    base = resource.arn.split("/")[-2] if resource.kind == "model" else ""
    models = [model for model in catalog.models().values() if model.training_id == base]
    return models[0].price("storage").usd if models else 0.0


def _print_released(models: Sequence[BedrockResource], run: str | None, *, confirmed: bool) -> None:
    """Say which models of other runs the run no longer keeps."""
    if models:
        names = ", ".join(f"{model} of run {model.run!r}" for model in models)
        outcome = "is" if confirmed else "would be"
        print_line(f"Run {run!r} reuses {names}, which {outcome} kept by its other runs only.")


def _print_unselected(unknown_resources: Sequence[BedrockResource], data: Bucket) -> None:
    """Say which unknown resources are kept and how to delete them."""
    if unknown_resources:
        print_line(
            f"Kept, because they belong to no run in s3://{data.name}: {', '.join(map(str, unknown_resources))}. "
            "An earlier deployment of the stage may have created them. If no caller uses them, delete those of one run "
            "with --run RUN --yes, or all with --unknown --yes."
        )


def _run_keys(data: Bucket, run: str) -> list[str]:
    """Return the keys of the objects of a run, without its ledger, which counts against the month's budget.

    The ledger expires by itself 30 days later.
    """
    ledger = keys.ledger_prefix(run)
    return [*data.keys(f"runs/{run}/"), *(key for key in data.keys(f"work/{run}/") if not key.startswith(ledger))]


def _delete_objects(data: Bucket, keys_to_delete: Sequence[str]) -> None:
    for start in range(0, len(keys_to_delete), _KEYS_PER_REQUEST):
        objects = [{"Key": key} for key in keys_to_delete[start : start + _KEYS_PER_REQUEST]]
        response = data.client.delete_objects(Bucket=data.name, Delete={"Objects": objects, "Quiet": True})  # type: ignore[typeddict-item]
        if errors := response.get("Errors"):
            first = errors[0]
            raise CommandError(
                f"s3://{data.name}/{first.get('Key')} was not deleted: {first.get('Message')}. Run the command again."
            )


def _summary(selected: Sequence[BedrockResource], selected_keys: Sequence[str]) -> str:
    resources = ", ".join(map(str, selected)) or "nothing at Bedrock"
    return f"{resources}; {quantity(len(selected_keys), 'object')}" if selected_keys else resources
