"""The words of the notification: the report's verdict, or what failed and how to go on."""

from __future__ import annotations

import json
from typing import Any

from distillation import keys, ledger
from distillation.storage import Bucket

SUBJECT_LIMIT = 100
"""SNS takes no longer subject."""
_SHOWN = 10
_MUCH_THROTTLED = 0.1
_WHY_THROTTLED = (
    "Another run asked at the same time, or the account has a lower quota than its stage says: see 'quotas' in cdk.json"
)


def run_message(run: str, data: Bucket) -> tuple[str, str]:
    """Return subject and text for a run that completed."""
    report = data.read_json(keys.report_key(run, "report.json"))
    files = report.get("files") or [keys.report_key(run, "report.html")]
    where = ", ".join(f"s3://{data.name}/{key}" for key in files)
    text = f"{report['verdict']}\n\nWritten: {where}\nSet aside: {report['set_aside']}\n{_reasons(report)}"
    text += f"Spent: ${report['usd']:.4f}; estimated: {report['estimate']['verdict']}\n{_throttling(report)}"
    return _subject(f"Vision Distillation {run}: {report['status']}"), text


def failure_message(run: str | None, detail: dict[str, Any], data: Bucket) -> tuple[str, str]:
    """Return subject and text for an execution that failed, timed out or was aborted."""
    body = data.get_or_none(keys.failure_key(run)) if run else None
    cause = json.loads(body)["cause"] if body else detail.get("cause") or "no cause was given"
    spent = f"Spent: ${ledger.total_usd(data, run):.4f}\n" if run else ""
    text = (
        f"{cause}\n\nExecution: {detail['executionArn']}\n{spent}"
        "What was labelled is kept: a new run asks for none of it again.\n"
    )
    return _subject(f"Vision Distillation {run or 'execution'}: {detail['status']}"), text


def _reasons(report: dict[str, Any]) -> str:
    """Say why the first photos were set aside, a line each; the report has all."""
    items = [*report.get("rejected", []), *report.get("labels_set_aside", [])]
    lines = [f"  {item['photo']}: {item['reason']}\n" for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        lines.append(f"  and {len(items) - _SHOWN} more, which the report lists\n")
    return "".join(lines)


def _throttling(report: dict[str, Any]) -> str:
    """Say of which models more calls than a tenth were throttled, and what to do about it."""
    lines = ""
    for entry in report.get("ledger", {}).get("entries", []):
        throttled = int(entry.get("throttled", 0))
        calls = int(entry["calls"]) + throttled
        if throttled > _MUCH_THROTTLED * calls:
            lines += (
                f"Throttled: {throttled} of {calls} calls to {entry['model']} in {entry['step']}. {_WHY_THROTTLED}\n"
            )
    return lines


def _subject(text: str) -> str:
    return text[:SUBJECT_LIMIT]
