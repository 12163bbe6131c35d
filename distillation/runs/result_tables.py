"""What a tuned model said about a collection, a line for each photo: keywords.csv and keywords.jsonl."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from distillation import keys, ledger
from distillation.answers.formats import FORMATS
from distillation.records import AnswerLine, InventoryLine, Run
from distillation.storage import Objects
from distillation.tolerance import check_set_aside


def write_keywords(run: Run, data: Objects) -> dict[str, Any]:
    """Write both tables, ledger.json and report.json; return ``{verdict, keywords}``, the key of keywords.csv.

    Raises ``TooManySetAside`` when more answers do not count than the request tolerates.
    """
    records = data.read_parts(keys.parts(run.run, "predict"))
    answers = {line.image: line for line in map(AnswerLine.model_validate, records)}
    refused = [f"{line.image[:12]}: {line.reason}" for line in answers.values() if line.status == "refused"]
    check_set_aside(run, "answers", len(answers), refused, "Look at the reasons, or raise 'tolerance'")
    rows = list(_rows(run, answers, data))
    table = keys.keywords(run.run, "csv")
    data.write_lines(keys.keywords(run.run, "jsonl"), rows)
    data.write(table, _csv(rows), "text/csv; charset=utf-8")
    report = _report(run, rows, data)
    data.write_json(keys.report(run.run, "report.json"), report)
    return {"verdict": report["verdict"], "keywords": table}


def _rows(run: Run, answers: dict[str, AnswerLine], data: Objects) -> Iterator[dict[str, Any]]:
    """Yield a row for each photo; one that is set aside has a reason and no keywords."""
    for record in data.read_lines(keys.inventory(run.run)):
        photo = InventoryLine.model_validate(record)
        if photo.status == "ignored":
            continue
        answer = answers.get(photo.image or "")
        counts = answer is not None and answer.status == "ok"
        yield {
            "photo": photo.photo.removeprefix(run.collection),
            "status": "ok" if counts else "set aside",
            "keywords": FORMATS[run.answer_format].written(answer.text or "") if answer and counts else [],
            "reason": None if counts else answer.reason if answer else photo.reason or "no answer",
            "image": photo.image,
        }


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["photo", "status", "keywords", "reason"])
    writer.writerows([row["photo"], row["status"], ", ".join(row["keywords"]), row["reason"]] for row in rows)
    return text.getvalue().encode()


def _report(run: Run, rows: list[dict[str, Any]], data: Objects) -> dict[str, Any]:
    spent = ledger.summary(data, run.run)
    data.write_json(keys.ledger(run.run), spent)
    aside = sum(row["status"] != "ok" for row in rows)
    told = f"{len(rows) - aside} of {len(rows)} photos"
    return {
        "run": run.run,
        "applied": run.request.apply,
        "status": f"complete with {aside} set aside" if aside else "complete",
        "verdict": f"The model of run {run.request.apply} wrote keywords for {told}.",
        "photos": len(rows),
        "set_aside": aside,
        "estimate": data.read_json(keys.report(run.run, "estimate.json")),
        "usd": spent["usd"],
        "files": [keys.keywords(run.run, kind) for kind in ("csv", "jsonl")],
    }
