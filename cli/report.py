"""``distill report RUN``: fetch a run's report from its stage and open it; of a model applied, its tables."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any

from cli.console import Unreachable, print_json, say
from cli.stage import Stage, fetch, unknown_run
from distillation import keys

FILES = ("report.json", "scores.csv", "report.html")


def fetch_report(stage: Stage, run: str, out: Path | None, show: bool, as_json: bool) -> None:
    """Fetch a run's report, then name its page and open it if asked, or print its figures.

    Raises ``Refused`` for a run that there is not, and ``Unreachable`` for one that has no report.
    """
    report = _report(stage, run)
    # A run that applied a model has tables instead of a page.
    wanted = report.get("files") or [keys.report_key(run, name) for name in FILES]
    paths = fetch(stage.data, wanted, out or Path("build/reports") / run)
    if as_json:
        print_json(report)
        return
    if "files" in report:
        say("\n".join([report["verdict"], *map(str, paths)]))
        return
    say(f"{paths[-1]}")
    if show:
        webbrowser.open(paths[-1].resolve().as_uri())


def _report(stage: Stage, run: str) -> dict[str, Any]:
    body = stage.data.get_or_none(keys.report_key(run, "report.json"))
    if body is not None:
        return json.loads(body)
    if all(stage.data.get_or_none(key) is None for key in (keys.request_key(run), keys.failure_key(run))):
        raise unknown_run(run, stage.data)
    raise Unreachable(
        f"{run} has no report: it goes on, or ended without one; see distill watch {run} --stage {stage.name}"
    )
