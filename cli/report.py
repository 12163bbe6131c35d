"""``distill report RUN``: download the report of a run and open it, or the tables of a run that applied a model."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any

from cli.console import NotReachable, print_json, print_line
from cli.stage import Stage, download, run_not_found
from distillation import keys

REPORT_FILES = ("report.json", "scores.csv", "report.html")


def fetch_report(stage: Stage, run: str, out: Path | None, show: bool, as_json: bool) -> None:
    """Download the files of a run's report. Print the path of the HTML report and open it if ``show``.

    With ``as_json`` print report.json instead. Raise ``CommandError`` if the run does not exist, or ``NotReachable`` if
    it has no report.
    """
    report = _read_report(stage, run)
    # A run that applied a model has tables instead of an HTML report.
    report_keys = report.get("files") or [keys.report_key(run, name) for name in REPORT_FILES]
    paths = download(stage.data, report_keys, out or Path("build/reports") / run)
    if as_json:
        print_json(report)
        return
    if "files" in report:
        print_line("\n".join([report["verdict"], *map(str, paths)]))
        return
    print_line(f"{paths[-1]}")
    if show:
        webbrowser.open(paths[-1].resolve().as_uri())


def _read_report(stage: Stage, run: str) -> dict[str, Any]:
    body = stage.data.get_or_none(keys.report_key(run, "report.json"))
    if body is not None:
        return json.loads(body)
    if all(stage.data.get_or_none(key) is None for key in (keys.request_key(run), keys.failure_key(run))):
        raise run_not_found(run, stage.data)
    raise NotReachable(
        f"run {run!r} has no report: it is still running, or it failed. See: distill watch {run} --stage {stage.name}"
    )
