"""What a tuned model said about a collection, a line for each photo: results.csv and results.jsonl."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from distillation import keys, ledger
from distillation.answers.formats import FORMATS
from distillation.records import AnswerLine, InventoryLine, Run
from distillation.storage import Bucket
from distillation.tolerance import check_tolerance


def write_results(run: Run, data: Bucket) -> dict[str, Any]:
    """Write both tables, ledger.json and report.json; return ``{verdict, keywords}``, the key of results.csv.

    Raises ``ToleranceExceeded`` when more answers do not count than the request tolerates.
    """
    records = data.read_parts(keys.parts_prefix(run.name, "predict"))
    answers = {line.image: line for line in map(AnswerLine.model_validate, records)}
    refused = [f"{line.image[:12]}: {line.reason}" for line in answers.values() if line.status == "refused"]
    check_tolerance(run, "answers", len(answers), refused, "Look at the reasons, or raise 'tolerance'")
    rows = list(_rows(run, answers, data))
    table = keys.results_key(run.name, "csv")
    data.write_lines(keys.results_key(run.name, "jsonl"), rows)
    data.write(table, _csv(rows), "text/csv; charset=utf-8")
    report = _report(run, rows, data)
    data.write_json(keys.report_key(run.name, "report.json"), report)
    return {"verdict": report["verdict"], "results_key": table}


def _rows(run: Run, answers: dict[str, AnswerLine], data: Bucket) -> Iterator[dict[str, Any]]:
    """Yield a row for each photo; one that is set aside has a reason and no keywords."""
    for record in data.read_lines(keys.inventory_key(run.name)):
        photo = InventoryLine.model_validate(record)
        if photo.status == "ignored":
            continue
        answer = answers.get(photo.image or "")
        counts = answer is not None and answer.status == "ok"
        yield {
            "photo": photo.photo.removeprefix(run.collection),
            "status": "ok" if counts else "set aside",
            "keywords": FORMATS[run.answer_format].split(answer.text or "") if answer and counts else [],
            "reason": None if counts else answer.reason if answer else photo.reason or "no answer",
            "image": photo.image,
        }


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["photo", "status", "keywords", "reason"])
    writer.writerows([row["photo"], row["status"], ", ".join(row["keywords"]), row["reason"]] for row in rows)
    return text.getvalue().encode()


def _report(run: Run, rows: list[dict[str, Any]], data: Bucket) -> dict[str, Any]:
    spent = ledger.summary(data, run.name)
    data.write_json(keys.ledger_key(run.name), spent)
    aside = sum(row["status"] != "ok" for row in rows)
    told = f"{len(rows) - aside} of {len(rows)} photos"
    return {
        "run": run.name,
        "applied": run.request.apply,
        "status": f"complete with {aside} set aside" if aside else "complete",
        "verdict": f"The model of run {run.request.apply} wrote keywords for {told}.",
        "photos": len(rows),
        "set_aside": aside,
        "estimate": data.read_json(keys.report_key(run.name, "estimate.json")),
        "usd": spent["usd"],
        "files": [keys.results_key(run.name, kind) for kind in ("csv", "jsonl")],
    }
