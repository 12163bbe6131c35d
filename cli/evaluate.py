"""``distill evaluate``: write the evaluation report for two files of answers, without AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.console import CommandError
from distillation.answers.rejection import content_rejection
from distillation.documents import FilesReport
from distillation.evaluation.evaluation import Evaluation, Evidence, evaluate
from distillation.evaluation.html_report import Page, Picture, render
from distillation.evaluation.report import MAXIMUM_PICTURES, scores_table
from distillation.evaluation.verdict import files_verdict
from distillation.records import AnswerLine

_EXAMPLE = '{"image": "cat.jpg", "text": "cat, sofa"}'
_FIELDS = ("text", "status", "reason", "usage", "latency_ms")
_NOT_VERIFIED = (
    "The files do not say whether the student was trained on the test images.",
    "Near-duplicates are not detected; an answer may name a `group`.",
    "The control is computed from the labels that it is scored on, so its score is too high.",
    "Scores measure agreement with the teacher, not correctness.",
)


class InvalidAnswers(CommandError):
    """A file of answers is not valid. The message has the file, the line and what to do."""


def compare_files(
    teacher: Path, student: Path, base: Path | None, ceiling: Path | None, images: Path | None, out: Path
) -> FilesReport:
    """Write report.html, report.json and scores.csv into ``out`` and return the report.

    Raises ``InvalidAnswers`` if a file or folder cannot be used.
    """
    if images and not images.is_dir():
        raise InvalidAnswers(f"--images {images} is not a folder. Name the folder of the images.")
    if out.exists() and not out.is_dir():
        raise InvalidAnswers(f"--out {out} is a file. Name a folder.")
    labels, groups = _read_answers(teacher)
    labels = {image: line for image, line in labels.items() if line.status == "ok"}
    if not labels:
        raise InvalidAnswers(f"{teacher} contains no list of keywords. Write lines such as {_EXAMPLE}")
    answers, _ = _read_answers(student)
    if not labels.keys() & answers.keys():
        raise InvalidAnswers(
            f"{teacher} and {student} have no image in common. Use the same image names in both files."
        )
    evidence = Evidence(
        labels=labels,
        tuned={"student": answers},
        base=_read_answers(base)[0] if base else None,
        ceiling=_read_answers(ceiling)[0] if ceiling else None,
        groups=groups,
    )
    evaluation = evaluate(evidence)
    unanswered = len(labels.keys() - answers.keys())
    report = FilesReport(
        status=f"{unanswered} unanswered" if unanswered else "complete",
        verdict=files_verdict(evaluation.figures),
        unanswered=unanswered,
        evaluation=evaluation.figures,
    )
    page = Page(
        title=student.stem,
        subtitle=f"{len(labels)} images · {report.status}",
        teacher=teacher.stem,
        student=student.stem,
        verdict=report.verdict,
        evaluation=evaluation,
        not_verified=_NOT_VERIFIED,
    )
    text = render(page, _pictures(evaluation, labels, images))
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(report.model_dump_json(indent=1), "utf-8")
    (out / "scores.csv").write_bytes(scores_table(evaluation))
    (out / "report.html").write_text(text, "utf-8")
    return report


def _pictures(evaluation: Evaluation, labels: dict[str, AnswerLine], folder: Path | None) -> Iterator[Picture]:
    for image in evaluation.images[:MAXIMUM_PICTURES]:
        path = next((path for path in _candidate_paths(folder, image) if path.is_file()), None) if folder else None
        yield Picture(image=image, name=image, jpeg=path.read_bytes() if path else None, label=labels[image])


def _candidate_paths(folder: Path, image: str) -> list[Path]:
    """Return the possible paths of an image. Names that lead outside the folder give none."""
    paths = [folder / image, folder / f"{image}.jpg"]
    return [path for path in paths if path.resolve().is_relative_to(folder.resolve())]


def _read_answers(path: Path) -> tuple[dict[str, AnswerLine], dict[str, str]]:
    """Return the answers and the near-duplicate groups in a file, both keyed by image."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidAnswers(f"{path} cannot be read: {error}. Name a UTF-8 file of JSON lines.") from None
    answers: dict[str, AnswerLine] = {}
    groups: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _parse_record(line, f"{path}:{number}")
        image = record["image"]
        if image in answers:
            raise InvalidAnswers(f"{path}:{number}: second answer about {image}. Keep one line for each image.")
        fields = {name: record[name] for name in _FIELDS if name in record}
        fields.setdefault("status", _status(record.get("text")))
        try:
            answers[image] = AnswerLine.model_validate({**fields, "image": image, "answerer": path.stem})
        except ValidationError as error:
            detail = error.errors()[0]
            raise InvalidAnswers(f"{path}:{number}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}") from None
        groups[image] = record.get("group") or image
    if not answers:
        raise InvalidAnswers(f"{path} contains no answers. Write lines such as {_EXAMPLE}")
    return answers, groups


def _status(text: Any) -> str:
    """Return ``refused`` for a refusal and for a text that is not a list of keywords, such as prose, else ``ok``."""
    return "refused" if isinstance(text, str) and content_rejection("keywords", text) else "ok"


def _parse_record(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidAnswers(f"{place}: not valid JSON: {error}. Write lines such as {_EXAMPLE}") from None
    if not isinstance(record, dict) or not isinstance(record.get("image"), str) or not record["image"]:
        raise InvalidAnswers(f"{place}: the line has no image name. Write lines such as {_EXAMPLE}")
    if not isinstance(record.get("group"), str | None):
        raise InvalidAnswers(
            f"{place}: group is not a string. Use the same string for images that are near-duplicates."
        )
    return record
