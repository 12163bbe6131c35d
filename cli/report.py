"""``distill report RUN``: fetch a run's report from its stage and open it."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

from cli.console import Unreachable, print_json, say
from cli.stage import Stage
from lambdas.shared import layout
from lambdas.shared.objects import ObjectMissing, Objects

FILES = ("report.json", "scores.csv", "report.html")


def fetch_report(stage: Stage, run: str, out: Path | None, show: bool, as_json: bool) -> None:
    """Fetch a run's report, then name its page and open it if asked, or print its figures; raises ``Unreachable``."""
    try:
        page = fetch(stage.data, run, out or Path("build/reports") / run)
    except ObjectMissing as missing:
        raise Unreachable(f"{missing}; is {run!r} a run of stage {stage.name!r}, and has it ended?") from None
    if as_json:
        print_json(json.loads(page.with_name("report.json").read_text("utf-8")))
        return
    say(f"{page}")
    if show:
        webbrowser.open(page.resolve().as_uri())


def fetch(data: Objects, run: str, out: Path) -> Path:
    """Write the files of a run's report into a folder; return its page. Raises ``ObjectMissing``."""
    bodies = {name: data.read(layout.report(run, name)) for name in FILES}
    out.mkdir(parents=True, exist_ok=True)
    for name, body in bodies.items():
        (out / name).write_bytes(body)
    return out / "report.html"
