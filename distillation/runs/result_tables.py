"""Tables of a tuned model's answers about a collection, one row for each photo: results.csv and results.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from pydantic import JsonValue

from distillation import keys, ledger
from distillation.answers.formats import format_of
from distillation.answers.formats.base import Format, Value
from distillation.documents import ApplyEstimate, ApplyReport, Audit, Interval, Recommendation
from distillation.errors import excerpt
from distillation.events import WriteResultsResult
from distillation.inference.missing_answers import AnswerParts, require_lines
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
    answered_by: Literal["tuned", "teacher"] | None
    """Who gave the answer: the tuned model, or with ``fallback`` the teacher; null if it was set aside."""
    answer: JsonValue
    """Answer in the form of its format, such as a list of keywords; null if it was set aside."""
    reason: str | None
    """Why it was set aside."""
    image: str | None
    """SHA-256 of the image's bytes, in hexadecimal."""


def write_results(
    run: Run, audit: Audit | None, data: Bucket, recommendation: Recommendation | None = None
) -> WriteResultsResult:
    """Write both tables, ledger.json and report.json. With ``fallback``, the teacher's answers fill the gaps.

    Raises ``ToleranceExceeded`` if more answers than the request tolerates cannot be used. Raises ``ObjectMissing`` or
    ``ObjectDamaged`` if an answer or a photo that an earlier step wrote is missing.
    """
    inventory = read_inventory(run, data)
    answers = _read_answers(run, inventory, data)
    refused = [f"{line.image[:12]}: {line.reason}" for line in answers.values() if line.status == "refused"]
    check_tolerance(run, "answers", len(answers), refused, "Check the reasons, or raise 'tolerance'")
    answer_format = format_of(run)
    answered = list(_lines(run, answer_format, answers, inventory))
    lines = [line for line, _ in answered]
    csv_key = keys.results_key(run.name, "csv")
    data.write_lines(keys.results_key(run.name, "jsonl"), [line.model_dump() for line in lines])
    data.write(csv_key, _csv(answer_format, answered), "text/csv; charset=utf-8")
    report = _report(run, lines, audit, data).model_copy(update={"recommendation": recommendation})
    data.write_document(keys.ledger_key(run.name), report.ledger)
    data.write_document(keys.report_json_key(run.name), report)
    return WriteResultsResult(verdict=report.verdict, results_key=csv_key)


def _read_answers(run: Run, inventory: list[InventoryLine], data: Bucket) -> dict[str, AnswerLine]:
    """Return the answer about each image: with ``fallback`` the teacher's where the tuned model's is not valid."""
    by_answerer: dict[str, dict[str, AnswerLine]] = {"tuned": {}, "fallback": {}}
    for line in data.read_parts(keys.parts_prefix(run.name, "predict"), AnswerLine):
        if line.answerer in by_answerer:
            by_answerer[line.answerer][line.image] = line
    tuned, teacher = by_answerer["tuned"], by_answerer["fallback"]
    images = [line.image for line in inventory if line.image and line.status == "ok"]
    parts = AnswerParts("predict", keys.split_key(run.name, "images"))
    require_lines(run, "the tuned model", images, tuned, parts, data)
    if run.request.fallback:
        invalid = [image for image in images if tuned[image].status == "refused"]
        require_lines(run, "the teacher, the fallback", invalid, teacher, parts, data)
    return tuned | {image: line.model_copy(update=_both_reasons(tuned[image], line)) for image, line in teacher.items()}


def _both_reasons(tuned: AnswerLine, teacher: AnswerLine) -> dict[str, str]:
    """Return the reason of an image that neither model answered about."""
    if teacher.status == "ok":
        return {}
    return {"reason": f"tuned model: {tuned.reason}; teacher: {teacher.reason}"}


def _lines(
    run: Run, answer_format: Format, answers: dict[str, AnswerLine], inventory: list[InventoryLine]
) -> Iterator[tuple[ResultLine, Value | None]]:
    """Yield a line for each photo, with its answer; one that was set aside has a reason and no answer."""
    for photo in inventory:
        if photo.status == "ignored":
            continue
        answer = answers.get(photo.image or "")
        name = photo.photo.removeprefix(run.collection)
        if answer is not None and answer.status == "ok":
            value = answer_format.parse(answer.text or "")
            line = ResultLine(
                photo=name,
                status="ok",
                answered_by="teacher" if answer.answerer == "fallback" else "tuned",
                answer=answer_format.json_value(value),
                reason=None,
                image=photo.image,
            )
            yield line, value
        else:
            reason = answer.reason if answer else photo.reason
            line = ResultLine(
                photo=name, status="set aside", answered_by=None, answer=None, reason=reason, image=photo.image
            )
            yield line, None


def _csv(answer_format: Format, lines: Iterable[tuple[ResultLine, Value | None]]) -> bytes:
    columns = answer_format.columns()
    blank = [""] * len(columns)
    rows = []
    for line, value in lines:
        cells = blank if value is None else answer_format.cells(value)
        rows.append([line.photo, line.status, *cells, line.reason, line.answered_by])
    return csv_table([["photo", "status", *columns, "reason", "answered_by"], *rows])


def _report(run: Run, lines: Sequence[ResultLine], audit: Audit | None, data: Bucket) -> ApplyReport:
    spent = ledger.summary(run.name, data)
    set_aside = sum(line.status != "ok" for line in lines)
    fallbacks = sum(line.answered_by == "teacher" for line in lines)
    tuned_run = run.request.apply or ""
    answered = len(lines) - set_aside - fallbacks
    sentences = [f"The model of run {tuned_run} answered about {answered} of {len(lines)} photos."]
    if run.request.fallback:
        sentences.append(f"The teacher answered about {fallbacks} more, where the model's answer was not valid.")
    if audit:
        sentences.append(audit_verdict(audit))
    return ApplyReport(
        run=run.name,
        applied=tuned_run,
        status=f"complete with {set_aside} set aside" if set_aside else "complete",
        verdict=" ".join(sentences),
        photos=len(lines),
        set_aside=set_aside,
        estimate=data.find_intact(keys.estimate_key(run.name), ApplyEstimate),
        ledger=spent,
        usd=spent.usd,
        fallbacks=fallbacks,
        audit=audit,
        files=[keys.results_key(run.name, kind) for kind in ("csv", "jsonl")],
    )


def audit_verdict(audit: Audit) -> str:
    """Return the result of an audit in one or two sentences."""
    if audit.agreement is None:
        return f"The audit failed: the teacher labelled none of {audit.asked} images. {excerpt(audit.reason)}"
    text = f"Audit: on {audit.images} random images the model agrees with the teacher by {_interval(audit.agreement)}"
    if audit.images < audit.asked:
        text += f" ({audit.asked - audit.images} more have no label of the teacher)"
    if audit.evaluation is None:
        return f"{text}; its evaluation cannot be compared with it."
    text += f"; in its evaluation by {_interval(audit.evaluation)}."
    if audit.drifted:
        text += " The photos have drifted from those that the model was trained on: train again on photos like these."
    return text


def _interval(interval: Interval) -> str:
    return f"{interval.mean:.2f} (95 % CI {interval.low:.2f}-{interval.high:.2f})"
