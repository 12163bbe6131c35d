"""``distill report RUN``: download the report of a run and open it, or the tables of a run that applied a model."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console import CommandError, NotReachable, print_json, print_line
from cli.sidecars import check_sidecar_folder, print_sidecars, write_run_sidecars
from cli.stage import Stage, check_out_folder, check_run_name, download, run_not_found
from distillation import keys
from distillation.documents import AnyReport, ApplyReport
from distillation.run_documents import find_report

if TYPE_CHECKING:
    from cli.judged_report import JudgedReport

REPORT_FILES = ("report.json", "scores.csv", "report.html")


def fetch_report(
    stage: Stage,
    run: str,
    out: Path | None,
    preferences: Path | None = None,
    xmp: Path | None = None,
    *,
    show: bool,
    as_json: bool,
) -> bool:
    """Download the files of a run's report. Print the path of the HTML report and open it if ``show``.

    With ``as_json`` print report.json instead. With ``preferences``, the file that the page of ``distill prefer``
    downloaded, add a person's win rates. With ``xmp``, the folder of the photos, also write the answers of a run that
    applied a model as sidecars. Return whether all of them were written.

    Raises ``NotReachable`` if the run has no report, or ``InvalidRequest`` if the preferences are those of another run.
    Raises ``CommandError`` if the run does not exist, or if ``xmp`` is given and the run applied no model.
    """
    if xmp:
        check_sidecar_folder(xmp)
    out = check_out_folder(out or Path("build/reports") / check_run_name(run))
    report = read_report_or_fail(stage, run)
    judged = _read_judged(stage, report, preferences) if preferences else None
    # A run that applied a model has tables instead of an HTML report.
    is_applied = isinstance(report, ApplyReport)
    if xmp and not is_applied:
        raise CommandError(f"--xmp: run {run!r} applied no model. Name a run of distill apply, or leave --xmp out.")
    report_keys = report.files if is_applied else [keys.report_key(run, name) for name in REPORT_FILES]
    paths = download(stage.data, report_keys, out)
    sidecars = write_run_sidecars(run, xmp, stage) if xmp else None
    if judged:
        report = judged.add_to(out)
    if as_json:
        facts = {"xmp": sidecars.as_json()} if sidecars else {}
        print_json({**report.model_dump(mode="json"), **facts})
    elif is_applied:
        print_line("\n".join([report.verdict, *map(str, paths)]))
        if sidecars and xmp:
            print_sidecars(sidecars, xmp)
    else:
        print_line("\n".join([*(judged.sentences if judged else []), str(paths[-1])]))
        if show:
            webbrowser.open(paths[-1].resolve().as_uri())
    return not (sidecars and sidecars.failed)


def _read_judged(stage: Stage, report: AnyReport, preferences: Path) -> JudgedReport:
    # Its packages are those of the extra `evaluate`, which `distill report` does without.
    from cli.judged_report import read_judged_report

    return read_judged_report(stage, report, preferences)


def read_report_or_fail(stage: Stage, run: str) -> AnyReport:
    """Return the report of a run. Raises ``CommandError`` without the run, ``NotReachable`` without a report."""
    if report := find_report(run, stage.data):
        return report
    if all(stage.data.get_or_none(key) is None for key in (keys.request_key(run), keys.failure_key(run))):
        raise run_not_found(run, stage.data)
    raise NotReachable(
        f"run {run!r} has no report: it is still running, or it failed. See: distill watch {run} --stage {stage.name}"
    )
