"""``distill evaluate``: the report of a run for any two files of answers, without AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.console import Refused, print_json, say
from distillation.answers.formats import keywords
from distillation.evaluation.evaluation import Evaluation, Evidence, evaluate
from distillation.evaluation.html_report import Page, Picture, render
from distillation.evaluation.report import PICTURES, scores_table
from distillation.evaluation.verdict import verdict
from distillation.records import AnswerLine, Limits

_EXAMPLE = '{"image": "cat.jpg", "text": "cat, sofa"}'
_FIELDS = ("text", "status", "reason", "usage", "latency_ms")
_NOT_VERIFIED = (
    "That the test images were not trained on: two files of answers cannot tell.",
    "Near-duplicates among the images: each counts as its own group unless its answer names a group.",
    "The control is taken from these very labels, which flatters it.",
    "Agreeing with the teacher is not the same as being right.",
)


class BadAnswers(Refused):
    """A file of answers cannot be read; the message names file, line and remedy."""


def evaluate_files(
    teacher: Path,
    student: Path,
    base: Path | None,
    ceiling: Path | None,
    images: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write the report and name it, or print its figures; raises ``BadAnswers``."""
    report = compare_files(teacher, student, base, ceiling, images, out)
    if as_json:
        print_json(report)
    else:
        say(f"{report['verdict']}\n{out / 'report.html'}")


def compare_files(
    teacher: Path, student: Path, base: Path | None, ceiling: Path | None, images: Path | None, out: Path
) -> dict[str, Any]:
    """Write report.html, report.json and scores.csv into ``out``; return what report.json holds.

    Raises ``BadAnswers``.
    """
    if images and not images.is_dir():
        raise BadAnswers(f"--images {images} is not a folder")
    if out.exists() and not out.is_dir():
        raise BadAnswers(f"--out {out} is a file; name a folder")
    labels, groups = _read(teacher)
    labels = {image: line for image, line in labels.items() if line.status == "ok"}
    if not labels:
        raise BadAnswers(f"{teacher} holds no list of keywords; a line must be like {_EXAMPLE}")
    answers, _ = _read(student)
    if not labels.keys() & answers.keys():
        raise BadAnswers(f"{teacher} and {student} have no image in common; the same image needs the same name in both")
    evidence = Evidence(
        labels=labels,
        tuned={"student": answers},
        base=_read(base)[0] if base else None,
        ceiling=_read(ceiling)[0] if ceiling else None,
        groups=groups,
    )
    evaluation = evaluate(evidence)
    report = {**evaluation.figures, "unanswered": len(labels.keys() - answers.keys()), "doubling": None}
    report["status"] = f"{report['unanswered']} unanswered" if report["unanswered"] else "complete"
    report["verdict"] = verdict(report)
    page = Page(
        title=student.stem,
        subtitle=f"{len(labels)} images · {report['status']}",
        teacher=teacher.stem,
        student=student.stem,
        report=report,
        evaluation=evaluation,
        not_verified=_NOT_VERIFIED,
    )
    text = render(page, _pictures(evaluation, labels, images))
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), "utf-8")
    (out / "scores.csv").write_bytes(scores_table(evaluation))
    (out / "report.html").write_text(text, "utf-8")
    return report


def _pictures(evaluation: Evaluation, labels: dict[str, AnswerLine], folder: Path | None) -> Iterator[Picture]:
    for image in evaluation.images[:PICTURES]:
        found = next((path for path in _paths(folder, image) if path.is_file()), None) if folder else None
        yield Picture(image=image, name=image, jpeg=found.read_bytes() if found else None, label=labels[image])


def _paths(folder: Path, image: str) -> list[Path]:
    """Where an image may lie; never outside the folder, whatever its name says."""
    paths = [folder / image, folder / f"{image}.jpg"]
    return [path for path in paths if path.resolve().is_relative_to(folder.resolve())]


def _read(path: Path) -> tuple[dict[str, AnswerLine], dict[str, str]]:
    """Return the answers of a file by image, and the groups that its lines name."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadAnswers(f"{path} cannot be read: {error}") from None
    answers: dict[str, AnswerLine] = {}
    groups: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _record(line, f"{path}:{number}")
        image = record["image"]
        if image in answers:
            raise BadAnswers(f"{path}:{number}: a second answer about {image}; keep one line for each image")
        known = {name: record[name] for name in _FIELDS if name in record}
        known.setdefault("status", _status(record.get("text")))
        try:
            answers[image] = AnswerLine.model_validate({**known, "image": image, "answerer": path.stem})
        except ValidationError as error:
            detail = error.errors()[0]
            raise BadAnswers(f"{path}:{number}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}") from None
        groups[image] = record.get("group") or image
    if not answers:
        raise BadAnswers(f"{path} holds no answers")
    return answers, groups


def _status(text: Any) -> str:
    """Tell whether a text counts as an answer: in prose it does not."""
    return "refused" if isinstance(text, str) and keywords.rejection(text, Limits()) else "ok"


def _record(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise BadAnswers(f"{place}: no JSON: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("image"), str) or not record["image"]:
        raise BadAnswers(f"{place}: a line must be like {_EXAMPLE}")
    if not isinstance(record.get("group"), str | None):
        raise BadAnswers(f"{place}: group: must be a text, the same for images that count as one")
    return record
