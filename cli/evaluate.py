"""``distill evaluate``: write the evaluation report for two files of answers, without AWS."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path

from cli.answer_files import EXAMPLE, Answers, InvalidAnswers, read_answers
from cli.console import print_line, quantity
from distillation.answers.formats import Format
from distillation.documents import AnswersFile, FilesReport
from distillation.evaluation.evaluation import Evaluation, Evidence, evaluate
from distillation.evaluation.gallery import MAXIMUM_PICTURES, Picture, thumbnail
from distillation.evaluation.html_report import Page, render
from distillation.evaluation.report import scores_table
from distillation.evaluation.verdict import comparison_verdict
from distillation.records import AnswerLine

_MAXIMUM_SHOWN = 5
_NOT_VERIFIED = (
    "The files do not say whether the student was trained on the test images.",
    "Near-duplicates are not detected; an answer may name a `group`.",
    "The control is computed from the labels that it is scored on, so its score is too high.",
    "Scores measure agreement with the teacher, not correctness.",
)


def compare_files(
    teacher: Path,
    student: Path,
    base: Path | None,
    ceiling: Path | None,
    images: Path | None,
    answer_format: Format,
    out: Path,
) -> FilesReport:
    """Write report.html, report.json and scores.csv into ``out`` and return the report.

    Raises ``InvalidAnswers`` if a file or folder cannot be used.
    """
    if images and not images.is_dir():
        raise InvalidAnswers(f"--images {images} is not a folder. Name the folder of the images.")
    if out.exists() and not out.is_dir():
        raise InvalidAnswers(f"--out {out} is a file. Name a folder.")
    files = {"teacher": teacher, "student": student, "base": base, "ceiling": ceiling}
    read = {role: read_answers(path, answer_format) for role, path in files.items() if path}
    labels = {image: line for image, line in read["teacher"].lines.items() if line.status == "ok"}
    if not labels:
        raise InvalidAnswers(
            f"{teacher} has no answer that is {answer_format.noun}: its answers are {read['teacher'].facts.form}. "
            f"Write lines such as {EXAMPLE}, or name the prompt that was used with --prompt."
        )
    answers = read["student"].lines
    if not labels.keys() & answers.keys():
        raise InvalidAnswers(
            f"{teacher} and {student} have no image in common. Use the same image names in both files."
        )
    evidence = Evidence(
        answer_format=answer_format,
        labels=labels,
        tuned={"student": answers},
        base=read["base"].lines if base else None,
        ceiling=read["ceiling"].lines if ceiling else None,
        groups=read["teacher"].groups,
    )
    evaluation = evaluate(evidence)
    unanswered = len(labels.keys() - answers.keys())
    known = read["teacher"].lines.keys()
    report = FilesReport(
        status=f"{unanswered} unanswered" if unanswered else "complete",
        verdict=comparison_verdict(evaluation.figures),
        unanswered=unanswered,
        files={role: _facts(content, known) for role, content in read.items()},
        evaluation=evaluation.figures,
    )
    page = Page(
        answer_format=answer_format,
        title=student.stem,
        subtitle=f"{quantity(len(labels), 'image')} · {report.status}",
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


def _facts(content: Answers, known: Container[str]) -> AnswersFile:
    """Return the facts about a file with the images that the teacher's file does not name."""
    return content.facts.model_copy(update={"unknown": [image for image in content.lines if image not in known]})


def print_comparison(report: FilesReport) -> None:
    """Print what was read, the score with its interval, and the images that are in one file only."""
    for role, file in report.files.items():
        print_line(f"{role}: {file.name}, {quantity(file.answers, 'answer')} ({file.layout}; {file.form})")
    score = report.evaluation.agreement.tuned["student"]
    images = report.evaluation.test_images
    interval = f"95 % CI {score.low:.3f} to {score.high:.3f}" if images > 1 else "no interval from one image"
    print_line(
        f"{report.evaluation.similarity} {score.mean:.3f} ({interval}), n = {quantity(images, 'image')}, "
        f"{report.unanswered} without an answer, which score 0"
    )
    for role, file in report.files.items():
        if file.unknown:
            shown = ", ".join(file.unknown[:_MAXIMUM_SHOWN])
            more = ", ..." if len(file.unknown) > _MAXIMUM_SHOWN else ""
            print_line(f"{role}: {len(file.unknown)} not in the teacher's file, left out: {shown}{more}")
    print_line(report.verdict)


def _pictures(evaluation: Evaluation, labels: dict[str, AnswerLine], folder: Path | None) -> Iterator[Picture]:
    shown = evaluation.images[:MAXIMUM_PICTURES]
    for image in shown:
        path = next((path for path in _candidate_paths(folder, image) if path.is_file()), None) if folder else None
        source = thumbnail(path.read_bytes(), len(shown)) if path else None
        yield Picture(image, name=image, source=source, label=labels[image])


def _candidate_paths(folder: Path, image: str) -> list[Path]:
    """Return the possible paths of an image. Names that lead outside the folder give none."""
    paths = [folder / image, folder / f"{image}.jpg"]
    return [path for path in paths if path.resolve().is_relative_to(folder.resolve())]
