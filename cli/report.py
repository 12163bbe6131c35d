"""``distill report RUN``: download the report of a run and open it, or the tables of a run that applied a model."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from cli.console import NotReachable, print_document, print_line
from cli.stage import Stage, check_out_folder, check_run_name, download, run_not_found
from distillation import keys
from distillation.documents import AnyReport, ApplyReport
from distillation.run_documents import find_report

REPORT_FILES = ("report.json", "scores.csv", "report.html")


def fetch_report(stage: Stage, run: str, out: Path | None, *, show: bool, as_json: bool) -> None:
    """Download the files of a run's report. Print the path of the HTML report and open it if ``show``.

    With ``as_json`` print report.json instead. Raises ``CommandError`` if the run does not exist, or ``NotReachable``
    if it has no report.
    """
    out = check_out_folder(out or Path("build/reports") / check_run_name(run))
    report = _read_report(stage, run)
    # A run that applied a model has tables instead of an HTML report.
    is_applied = isinstance(report, ApplyReport)
    report_keys = report.files if is_applied else [keys.report_key(run, name) for name in REPORT_FILES]
    paths = download(stage.data, report_keys, out)
    if as_json:
        print_document(report)
        return
    if is_applied:
        print_line("\n".join([report.verdict, *map(str, paths)]))
        return
    print_line(f"{paths[-1]}")
    if show:
        webbrowser.open(paths[-1].resolve().as_uri())


def _read_report(stage: Stage, run: str) -> AnyReport:
    if report := find_report(run, stage.data):
        return report
    if all(stage.data.get_or_none(key) is None for key in (keys.request_key(run), keys.failure_key(run))):
        raise run_not_found(run, stage.data)
    raise NotReachable(
        f"run {run!r} has no report: it is still running, or it failed. See: distill watch {run} --stage {stage.name}"
    )
