"""``distill report RUN --preferences FILE``: a person's win rates in the downloaded report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.console import CommandError
from cli.stage import Stage
from distillation import keys
from distillation.documents import AnyReport, Report, WinRate
from distillation.evaluation.preferences import (
    MAXIMUM_BYTES,
    preference_sentence,
    read_preferences,
    win_rates,
    with_preferences,
)
from distillation.records import SplitLine


@dataclass(frozen=True)
class JudgedReport:
    """A report with a person's win rates."""

    report: Report
    """The report; ``preferences`` has the win rates."""
    tuned: str
    """Tuned model that was judged, such as ``n30``."""
    rates: list[WinRate]
    """The win rates."""

    @property
    def sentences(self) -> list[str]:
        """Each win rate in a sentence."""
        return list(map(preference_sentence, self.rates))

    def add_to(self, folder: Path) -> Report:
        """Add the win rates to report.json and report.html in a folder. Return the report."""
        page = folder / "report.html"
        page.write_text(with_preferences(page.read_text("utf-8"), self.tuned, self.rates), "utf-8")
        (folder / "report.json").write_text(self.report.model_dump_json(indent=1), "utf-8")
        return self.report


def read_judged_report(stage: Stage, report: AnyReport, path: Path) -> JudgedReport:
    """Return a report with the preferences in a file. Raises ``CommandError`` or ``InvalidRequest``."""
    source = f"--preferences {path}"
    try:
        with path.open("rb") as file:
            body = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {error}. Name the file that the page downloaded.") from None
    if not isinstance(report, Report) or report.evaluation is None:
        raise CommandError(f"run {report.run!r} trained no model, so nothing was compared. Leave --preferences out.")
    test = {line.image for line in stage.data.read_records(keys.split_key(report.run, "test"), SplitLine)}
    best = report.evaluation.best
    rates = win_rates(read_preferences(body, source), report.run, best, test, source)
    return JudgedReport(report.model_copy(update={"preferences": rates}), best, rates)
