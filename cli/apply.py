"""``distill apply COLLECTION --run RUN``: apply a tuned model to a collection and download the answers."""

from __future__ import annotations

import json
from pathlib import Path

from cli import watch
from cli.console import print_json, print_line, print_to_stderr
from cli.progress import ExecutionObserver
from cli.requests import collection_prefix, resolve_request
from cli.stage import Stage, download
from cli.start import start_execution
from cli.watch import follow
from distillation import keys

TABLE_FORMATS = ("csv", "jsonl")


def apply_model(
    collection: str, run: str, limits: dict[str, float | None], out: Path | None, stage: Stage, *, as_json: bool
) -> bool:
    """Start a run that applies a tuned model, show it, and download its tables. Return whether it succeeded.

    ``run`` is the run of the tuned model. ``limits`` has ``max_usd`` and ``tolerance``; None means the default of a
    request. Raises ``InvalidRequest`` or ``CommandError`` before anything starts.
    """
    prefix = collection_prefix(collection)
    set_limits = {name: limit for name, limit in limits.items() if limit is not None}
    fields = {"apply": run, **set_limits}
    resolve_request(prefix, fields, stage.name, stage.region)
    new_run, execution = start_execution(prefix, fields, stage)
    states = stage.client("stepfunctions")
    print_to_stderr(
        f"Started {new_run}. Ctrl-C does not stop it. Watch it with: distill watch {new_run} --stage {stage.name}"
    )
    observer = ExecutionObserver(new_run, execution, states, stage.data)
    if follow(observer.progress, watch.POLL_SECONDS, as_json=as_json).has_failed:
        return False
    description = states.describe_execution(executionArn=execution)
    tables = [keys.results_key(new_run, extension) for extension in TABLE_FORMATS]
    paths = download(stage.data, tables, out or Path("build/results") / new_run)
    verdict = json.loads(description["output"])["applied"]["verdict"]
    if as_json:
        print_json({"run": new_run, "verdict": verdict, "files": [str(path) for path in paths]}, indent=None)
    else:
        print_line("\n".join([verdict, *map(str, paths)]))
    return True
