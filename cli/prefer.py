"""``distill prefer RUN``: write a page on which a person chooses between the answers of two models."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from cli.console import NotReachable, print_json, print_line, quantity
from cli.report import read_report_or_fail
from cli.stage import Stage, check_out_folder, check_run_name
from distillation.documents import Report
from distillation.evaluation.preferences import preference_page, read_comparison
from distillation.run_documents import find_run


def write_preference_page(
    stage: Stage, run_name: str, count: int, out: Path | None, *, show: bool, as_json: bool
) -> None:
    """Write the page, print its path and what to do with it, and open it if ``show``.

    Raises ``CommandError`` if the run does not exist, or ``NotReachable`` if it has no answers to compare.
    """
    out = check_out_folder(out or Path("build/reports") / check_run_name(run_name))
    report = read_report_or_fail(stage, run_name)
    run = find_run(run_name, stage.data)
    if run is None or not isinstance(report, Report) or report.evaluation is None:
        raise NotReachable(f"run {run_name!r} trained no model, so it has no answers to compare. Name another run.")
    comparison = read_comparison(run, report.evaluation.best, stage.data)
    pairs = comparison.pairs(count)
    if not pairs:
        raise NotReachable(
            f"run {run_name!r} has no pair to judge: its models gave the same answers about all "
            f"{len(comparison.lines)} test images that the teacher labelled. Use another run."
        )
    path = out / "prefer.html"
    page = preference_page(comparison, pairs, stage.data)
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")
    if as_json:
        print_json({"run": run_name, "pairs": len(pairs), "file": str(path)})
        return
    print_line(str(path))
    fewer = "" if len(pairs) == count else f", fewer than {count} because no other answers differ"
    print_line(
        f"{quantity(len(pairs), 'pair')}{fewer}. Show the result in the report with: "
        f"distill report {run_name} --preferences FILE --stage {stage.name}"
    )
    if show:
        webbrowser.open(path.resolve().as_uri())
