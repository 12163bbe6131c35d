"""Measure our token rules against what a run was billed, for the next estimate."""

from __future__ import annotations

from collections.abc import Iterator

from distillation.costs import calibration
from distillation.evaluation.run_data import RunData
from distillation.records import AnswerLine


def calibrate(files: RunData) -> None:
    """Keep what this run measured of teacher and student; a model that answered nothing keeps what there was."""
    # An image with a label of its owner's is asked about in the test only.
    lines = [*files.split("to-label"), *files.split("test")]
    sizes = {line["image"]: (line["width"], line["height"]) for line in lines}
    run = files.run
    for model, answerers in ((run.teacher.model, ["teacher"]), (run.student, _students(files))):
        billed = [
            (sizes[line.image], line.usage)
            for line in _lines(files, answerers)
            if line.usage and line.status == "ok" and line.image in sizes
        ]
        found = calibration.measure(model, run.name, run.teacher.id, run.prompt, billed)
        if found:
            calibration.save(found, files.data)


def _students(files: RunData) -> list[str]:
    return [name for name in files.answers if name not in ("teacher", "ceiling")]


def _lines(files: RunData, answerers: list[str]) -> Iterator[AnswerLine]:
    for name in answerers:
        yield from files.answers.get(name, {}).values()
