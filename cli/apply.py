"""``distill apply COLLECTION --run RUN``: have a tuned model write keywords for a collection, and fetch them."""

from __future__ import annotations

import json
from pathlib import Path

from cli import watch
from cli.console import say, warn
from cli.progress import Observer
from cli.requests import checked_collection, resolved
from cli.stage import Stage, fetch
from cli.watch import follow
from distillation import keys

KINDS = ("csv", "jsonl")


def apply_model(
    collection: str, run: str, limits: dict[str, float | None], out: Path | None, stage: Stage, as_json: bool
) -> bool:
    """Start the run that applies a model, show it, and fetch its tables; return whether it succeeded.

    Raises ``InvalidRequest`` and ``Refused`` before anything starts.
    ``limits``: ``max_usd`` and ``tolerance``, None for a request's default.
    """
    prefix = checked_collection(collection)
    given = {name: limit for name, limit in limits.items() if limit is not None}
    fields = {"apply": run, **given}
    resolved(prefix, fields, stage.name, stage.region)
    request = {"collection": prefix, **fields}
    states = stage.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=stage.state_machine, input=json.dumps(request))["executionArn"]
    applying = keys.run_name(prefix, execution)
    warn(f"{applying} has started; it goes on if you leave: distill watch {applying} --stage {stage.name}")
    if follow(Observer(applying, execution, states, stage.data).look, watch.POLL_SECONDS, as_json=as_json).failed:
        return False
    ended = states.describe_execution(executionArn=execution)
    tables = [keys.results_key(applying, kind) for kind in KINDS]
    paths = fetch(stage.data, tables, out or Path("build/keywords") / applying)
    verdict = json.loads(ended["output"])["applied"]["verdict"]
    if as_json:
        say(json.dumps({"run": applying, "verdict": verdict, "files": [str(path) for path in paths]}))
    else:
        say("\n".join([verdict, *map(str, paths)]))
    return True
