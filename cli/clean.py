"""``distill clean``: list what a stage holds at Bedrock and what it costs; remove it only with ``--yes``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cli.console import Refused, columns, print_json, say
from cli.stage import Stage, unknown_run
from distillation import keys
from distillation.models import catalog
from distillation.records import Run
from distillation.serving.resources import BedrockResource, remove, stop
from distillation.serving.sweep import Sweeper, is_running
from distillation.storage import Bucket

_DELETED_AT_ONCE = 1000


def clean_stage(stage: Stage, run: str | None, *, objects: bool, really: bool, as_json: bool) -> None:
    """List a stage's jobs, deployments and models, and remove what no run keeps, or all of one run.

    The order is jobs, deployments, models, objects. Raises ``Refused`` for what must not go.
    """
    if objects and not run:
        raise Refused("--objects needs --run RUN: the objects of one run are removed, never those of all")
    client = stage.client("stepfunctions")
    sweeper = Sweeper(stage.name, stage.data, stage.client("bedrock"), partial(is_running, client), datetime.now(UTC))
    jobs, standing = sweeper.resources()
    held = [*jobs, *standing]
    leftovers = sweeper.leftovers(held)
    chosen = _of_run(run, held, sweeper) if run else leftovers
    objects_of_run = _keys(stage.data, run) if run and objects else []
    if as_json:
        print_json([_entry(one, one in chosen, one in leftovers, sweeper) for one in held])
    else:
        _say_table(held, chosen, leftovers, sweeper)
    if really:
        stop([one for one in chosen if one.kind == "job"], sweeper.bedrock)
        remove([one for one in chosen if one.kind != "job"], sweeper.bedrock)
        _delete(stage.data, objects_of_run)
    if not as_json:
        say(f"{'Removed' if really else 'Nothing was removed. With --yes'}: {_summary(chosen, objects_of_run)}.")


def _of_run(run: str, held: Sequence[BedrockResource], sweeper: Sweeper) -> list[BedrockResource]:
    """Return all that a run holds; raises ``Refused`` while it goes on, or while another run's deployment serves it."""
    chosen = [one for one in held if one.run == run]
    body = sweeper.data.get_or_none(keys.request_key(run))
    if body is None and not chosen:
        raise unknown_run(run, sweeper.data)
    if body is not None and sweeper.is_running(Run.model_validate_json(body).execution):
        raise Refused(f"run {run!r} goes on; stop its execution first, which cleans up by itself")
    models = {one.arn for one in chosen if one.kind == "model"}
    for one in held:
        if one.model in models and one.run != run:
            raise Refused(f"{one} of run {one.run!r} serves a model of {run!r}; clean that run first")
    return chosen


def _say_table(
    held: Sequence[BedrockResource],
    chosen: Sequence[BedrockResource],
    leftovers: Sequence[BedrockResource],
    sweeper: Sweeper,
) -> None:
    if not held:
        say(f"Stage {sweeper.stage} holds no job, deployment or model at Bedrock.")
        return
    head = ["", "kind", "name", "status", "days", "$ a month", "of run", "which"]
    rows = [_entry(one, one in chosen, one in leftovers, sweeper) for one in held]
    shown = ("kind", "name", "status", "days", "usd_a_month", "run", "standing")
    say(columns([head, *(["*" if row["chosen"] else "", *(str(row[name]) for name in shown)] for row in rows)]))


def _entry(one: BedrockResource, chosen: bool, left_over: bool, sweeper: Sweeper) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "name": one.name,
        "arn": one.arn,
        "status": one.status,
        "days": (sweeper.now - one.created).days,
        "usd_a_month": _usd_a_month(one),
        "run": one.run,
        "standing": "is left over" if left_over else "is kept, or goes on",
        "chosen": chosen,
    }


def _usd_a_month(one: BedrockResource) -> float:
    """A tuned model is stored; its deployment on demand costs nothing while nobody asks it."""
    base = one.arn.split("/")[-2] if one.kind == "model" else ""
    tuned = [model for model in catalog.MODELS.values() if model.training_id == base]
    return tuned[0].price("storage").usd if tuned else 0.0


def _keys(data: Bucket, run: str) -> list[str]:
    return [*data.keys(f"runs/{run}/"), *data.keys(f"work/{run}/")]


def _delete(data: Bucket, doomed_keys: Sequence[str]) -> None:
    for start in range(0, len(doomed_keys), _DELETED_AT_ONCE):
        doomed = [{"Key": key} for key in doomed_keys[start : start + _DELETED_AT_ONCE]]
        failed = data.client.delete_objects(Bucket=data.name, Delete={"Objects": doomed, "Quiet": True})  # type: ignore[typeddict-item]
        if errors := failed.get("Errors"):
            raise Refused(f"s3://{data.name}/{errors[0].get('Key')}: {errors[0].get('Message')}")


def _summary(chosen: Sequence[BedrockResource], removed_keys: Sequence[str]) -> str:
    named = ", ".join(map(str, chosen)) or "nothing at Bedrock"
    return f"{named}; {len(removed_keys)} objects" if removed_keys else named
