"""Texts of the notifications: the verdict of a run that completed, why an execution failed, or why a run waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from distillation import keys, ledger
from distillation.documents import AnyReport, ApplyReport, Failure, Ledger, Report
from distillation.errors import LABELS_ARE_REUSED, DailyQuotaExceeded
from distillation.events import EndingEvent, ExecutionDetail
from distillation.plain_text import clean, clean_line
from distillation.records import Run
from distillation.run_documents import read_report
from distillation.runs.ended_run import ended_run_name
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
    """A notification. Subject and text have no invisible characters; the subject is one line."""

    run: str | None
    """Name of the run; None if the execution had none."""
    subject: str
    text: str


def ending_message(event: EndingEvent, data: Bucket, kept_models: Callable[[Run], str]) -> Message:
    """Return the notification for an ended run. ``kept_models`` describes the models that a failed run leaves."""
    if event.detail is None:
        run = event.run or ""
        return Message(run, *run_message(run, data))
    run = ended_run_name(event.detail)
    return Message(run, *failure_message(run, event.detail, data, kept_models))


def run_message(run: str, data: Bucket) -> tuple[str, str]:
    """Return subject and text for a run that completed."""
    report = read_report(run, data)
    files = report.files if isinstance(report, ApplyReport) else [keys.report_key(run, "report.html")]
    locations = ", ".join(f"s3://{data.name}/{key}" for key in files)
    estimated = report.estimate.verdict if report.estimate else "unknown"
    text = (
        f"{report.verdict}\n\nFiles: {locations}\nSet aside: {report.set_aside}\n{_reasons(report)}"
        f"Spent: ${report.usd:.4f}; estimated: {estimated}\n{_throttling(report.ledger)}"
        f"{_next_step(report)}"
    )
    return _subject(f"Vision Distillation {run}: {report.status}"), clean(text)


def failure_message(
    run: str | None, detail: ExecutionDetail, data: Bucket, kept_models: Callable[[Run], str]
) -> tuple[str, str]:
    """Return subject and text for an execution that failed, timed out or was aborted."""
    failure = data.find_intact(keys.failure_key(run), Failure) if run else None
    cause = failure.cause if failure else detail.cause or "no cause was given"
    # RecordFailure has added the kept models to the cause; it does not run after a timeout or a stop.
    claimed = data.find_intact(keys.request_key(run), Run) if run and not failure else None
    kept = kept_models(claimed) if claimed and claimed.execution == detail.execution_arn else ""
    spent = _spent(*ledger.paid_and_reserved_usd(run, data)) if run else ""
    lines = [f"{clean_line(cause)}\n", f"Execution: {detail.execution_arn}", spent, LABELS_ARE_REUSED, kept]
    text = "".join(f"{line}\n" for line in lines if line)
    return _subject(f"Vision Distillation {run or 'execution'}: {detail.status}"), clean(text)


def waiting_message(run: Run, error: DailyQuotaExceeded) -> Message:
    """Return the notification for a run whose daily quota is used up."""
    text = (
        f"{clean_line(str(error))}\n\nThe run tries again every hour, for up to 26 hours, without a running function, "
        f"and continues once Bedrock answers. Stored answers are not paid for again. This is the only notification "
        f"about it.\n\n"
        f"Execution: {run.execution}\n"
    )
    return Message(run.name, _subject(f"Vision Distillation {run.name}: waits for its daily quota"), text)


def _reasons(report: AnyReport) -> str:
    """Return why the first photos were set aside, one line each."""
    if not isinstance(report, Report):
        return ""
    items = [*report.photos_set_aside, *report.labels_set_aside]
    lines = [f"  {clean_line(f'{item.photo}: {item.reason}')}\n" for item in items[:_MAXIMUM_REASONS]]
    if len(items) > _MAXIMUM_REASONS:
        lines.append(f"  and {len(items) - _MAXIMUM_REASONS} more, listed in the report\n")
    return "".join(lines)


def _next_step(report: AnyReport) -> str:
    return f"\nNext: {clean_line(report.recommendation.text)}\n" if report.recommendation else ""


def _spent(paid_usd: float, reserved_usd: float) -> str:
    """Return the cost of a failed run. A job or batch that was stopped with it has a reservation only."""
    unknown = f", and up to ${reserved_usd:.4f} for jobs and calls that had not ended" if reserved_usd else ""
    return f"Spent: ${paid_usd:.4f}{unknown}"


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
    return clean_line(text)[:SUBJECT_LIMIT]
