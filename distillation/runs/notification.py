"""Texts of the notifications: the verdict of a run that completed, why an execution failed, or why a run waits."""

from __future__ import annotations

from typing import NamedTuple

from distillation import keys, ledger
from distillation.documents import AnyReport, ApplyReport, Failure, Ledger, Report
from distillation.errors import LABELS_ARE_REUSED, DailyQuotaExceeded
from distillation.events import EndingEvent, ExecutionDetail
from distillation.records import Run
from distillation.run_documents import read_report
from distillation.runs.endings import ended_run_name
from distillation.storage import Bucket

SUBJECT_LIMIT = 100
"""Characters of a subject that SNS accepts."""
_MAXIMUM_REASONS = 10
"""Maximum number of photos set aside that the text lists."""
_THROTTLED_SHARE = 0.1
"""Share of throttled calls above which the text mentions them."""
_THROTTLING_CAUSE = (
    "Another run used the model at the same time, or the account's quota is lower than the stage's: "
    "see 'quotas' in cdk.json"
)


class Message(NamedTuple):
    """A notification."""

    run: str | None
    """Name of the run; None if the execution had none."""
    subject: str
    text: str


def ending_message(event: EndingEvent, data: Bucket) -> Message:
    """Return the notification for an ended run."""
    if event.detail is None:
        run = event.run or ""
        return Message(run, *run_message(run, data))
    run = ended_run_name(event.detail)
    return Message(run, *failure_message(run, event.detail, data))


def run_message(run: str, data: Bucket) -> tuple[str, str]:
    """Return subject and text for a run that completed."""
    report = read_report(run, data)
    files = report.files if isinstance(report, ApplyReport) else [keys.report_key(run, "report.html")]
    locations = ", ".join(f"s3://{data.name}/{key}" for key in files)
    text = (
        f"{report.verdict}\n\nFiles: {locations}\nSet aside: {report.set_aside}\n{_reasons(report)}"
        f"Spent: ${report.usd:.4f}; estimated: {report.estimate.verdict}\n{_throttling(report.ledger)}"
    )
    return _subject(f"Vision Distillation {run}: {report.status}"), text


def failure_message(run: str | None, detail: ExecutionDetail, data: Bucket) -> tuple[str, str]:
    """Return subject and text for an execution that failed, timed out or was aborted."""
    failure = data.find_document(keys.failure_key(run), Failure) if run else None
    cause = failure.cause if failure else detail.cause or "no cause was given"
    spent = f"Spent: ${ledger.paid_and_reserved_usd(run, data)[0]:.4f}\n" if run else ""
    text = f"{cause}\n\nExecution: {detail.execution_arn}\n{spent}{LABELS_ARE_REUSED}\n"
    return _subject(f"Vision Distillation {run or 'execution'}: {detail.status}"), text


def waiting_message(run: Run, error: DailyQuotaExceeded) -> Message:
    """Return the notification for a run whose daily quota is used up."""
    text = (
        f"{error}\n\nThe run tries again every hour, for up to 26 hours, without a running function, and continues "
        f"once Bedrock answers. Stored answers are not paid for again. This is the only notification about it.\n\n"
        f"Execution: {run.execution}\n"
    )
    return Message(run.name, _subject(f"Vision Distillation {run.name}: waits for its daily quota"), text)


def _reasons(report: AnyReport) -> str:
    """Return why the first photos were set aside, one line each."""
    if not isinstance(report, Report):
        return ""
    items = [*report.photos_set_aside, *report.labels_set_aside]
    lines = [f"  {item.photo}: {item.reason}\n" for item in items[:_MAXIMUM_REASONS]]
    if len(items) > _MAXIMUM_REASONS:
        lines.append(f"  and {len(items) - _MAXIMUM_REASONS} more, listed in the report\n")
    return "".join(lines)


def _throttling(ledger: Ledger) -> str:
    """Return a line for each model with more than a tenth of its calls throttled."""
    lines = ""
    for entry in ledger.entries:
        calls = entry.calls + entry.throttled
        if entry.throttled > _THROTTLED_SHARE * calls:
            lines += (
                f"Throttled: {entry.throttled} of {calls} calls to {entry.model} in {entry.step}. {_THROTTLING_CAUSE}\n"
            )
    return lines


def _subject(text: str) -> str:
    return text[:SUBJECT_LIMIT]
