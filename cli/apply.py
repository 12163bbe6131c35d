"""``distill apply COLLECTION --run RUN``: have a tuned model write keywords for a collection, and fetch them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from cli.console import say
from cli.requests import checked_collection
from cli.stage import Stage
from lambdas.shared import layout
from lambdas.shared.objects import Objects

POLL_SECONDS = 5.0
KINDS = ("csv", "jsonl")


def apply_model(
    collection: str, run: str, max_usd: float | None, out: Path | None, stage: Stage, pause: float = POLL_SECONDS
) -> bool:
    """Start the run that applies a model, wait for it, and fetch its tables; return whether it succeeded."""
    prefix = checked_collection(collection)
    request: dict[str, Any] = {"collection": prefix, "apply": run}
    if max_usd is not None:
        request["max_usd"] = max_usd
    states = stage.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=stage.state_machine, input=json.dumps(request))["executionArn"]
    applying = layout.run_name(prefix, execution)
    say(f"{applying} has started; it goes on if you leave")
    while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(pause)
    if ended["status"] != "SUCCEEDED":
        say(f"{ended['status']}: {ended.get('cause') or 'no cause was given'}")
        return False
    folder = out or Path("build/keywords") / applying
    say(json.loads(ended["output"])["applied"]["verdict"])
    for path in fetch(stage.data, applying, folder):
        say(f"{path}")
    return True


def fetch(data: Objects, run: str, out: Path) -> list[Path]:
    """Write the tables of a run into a folder; return their paths. Raises ``ObjectMissing``."""
    bodies = {out / f"keywords.{kind}": data.read(layout.keywords(run, kind)) for kind in KINDS}
    out.mkdir(parents=True, exist_ok=True)
    for path, body in bodies.items():
        path.write_bytes(body)
    return list(bodies)
