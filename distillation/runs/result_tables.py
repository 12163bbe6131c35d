"""Tables of a tuned model's answers about a collection, one row for each photo: results.csv and results.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from distillation import keys, ledger
from distillation.answers.formats import FORMATS
from distillation.documents import ApplyEstimate, ApplyReport
from distillation.events import WriteResultsResult
from distillation.inference.answer_parts import PartsOf, require_lines
from distillation.photos.inventory import read_inventory
from distillation.plain_text import csv_table
from distillation.records import AnswerLine, InventoryLine, Record, Run
from distillation.storage import Bucket
from distillation.tolerance import check_tolerance


class ResultLine(Record):
    """One line of results.jsonl."""

    photo: str
    """Name of the photo below the collection's prefix."""
    status: Literal["ok", "set aside"]
    """Whether there is a usable answer."""
    keywords: list[str]
    """Keywords of the answer; empty if it was set aside."""
    reason: str | None
    """Why it was set aside."""
    image: str | None
    """SHA-256 of the image's bytes, in hexadecimal."""


def write_results(run: Run, data: Bucket) -> WriteResultsResult:
    """Write both tables, ledger.json and report.json.

    Raises ``ToleranceExceeded`` if more answers than the request tolerates cannot be used, and ``ObjectMissing`` or
    ``ObjectDamaged`` if an answer or a photo is missing that an earlier step wrote.
    """
    answers = {line.image: line for line in data.read_parts(keys.parts_prefix(run.name, "predict"), AnswerLine)}
    inventory = read_inventory(run, data)
    images = [line.image for line in inventory if line.image and line.status == "ok"]
    parts = PartsOf("predict", keys.split_key(run.name, "images"))
    require_lines(run, "the tuned model", images, answers, parts, data)
    refused = [f"{line.image[:12]}: {line.reason}" for line in answers.values() if line.status == "refused"]
    check_tolerance(run, "answers", len(answers), refused, "Check the reasons, or raise 'tolerance'")
    lines = list(_lines(run, answers, inventory))
    csv_key = keys.results_key(run.name, "csv")
    data.write_lines(keys.results_key(run.name, "jsonl"), [line.model_dump() for line in lines])
    data.write(csv_key, _csv(lines), "text/csv; charset=utf-8")
    report = _report(run, lines, data)
    data.write_document(keys.ledger_key(run.name), report.ledger)
    data.write_document(keys.report_json_key(run.name), report)
    return WriteResultsResult(verdict=report.verdict, results_key=csv_key)


def _lines(run: Run, answers: dict[str, AnswerLine], inventory: list[InventoryLine]) -> Iterator[ResultLine]:
    """Yield a line for each photo; one that was set aside has a reason and no keywords."""
    for photo in inventory:
        if photo.status == "ignored":
            continue
        answer = answers.get(photo.image or "")
        name = photo.photo.removeprefix(run.collection)
        if answer is not None and answer.status == "ok":
            keywords = FORMATS[run.answer_format].items_as_written(answer.text or "")
            yield ResultLine(photo=name, status="ok", keywords=keywords, reason=None, image=photo.image)
        else:
            reason = answer.reason if answer else photo.reason
            yield ResultLine(photo=name, status="set aside", keywords=[], reason=reason, image=photo.image)


def _csv(lines: Sequence[ResultLine]) -> bytes:
    rows = ([line.photo, line.status, ", ".join(line.keywords), line.reason] for line in lines)
    return csv_table([["photo", "status", "keywords", "reason"], *rows])


def _report(run: Run, lines: Sequence[ResultLine], data: Bucket) -> ApplyReport:
    spent = ledger.summary(run.name, data)
    set_aside = sum(line.status != "ok" for line in lines)
    tuned_run = run.request.apply or ""
    return ApplyReport(
        run=run.name,
        applied=tuned_run,
        status=f"complete with {set_aside} set aside" if set_aside else "complete",
        verdict=f"The model of run {tuned_run} answered about {len(lines) - set_aside} of {len(lines)} photos.",
        photos=len(lines),
        set_aside=set_aside,
        estimate=data.find_intact(keys.estimate_key(run.name), ApplyEstimate),
        ledger=spent,
        usd=spent.usd,
        files=[keys.results_key(run.name, kind) for kind in ("csv", "jsonl")],
    )
