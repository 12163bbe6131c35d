"""Calibration of the token rules: every run saves what its answers were billed, for the next estimate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from distillation import keys
from distillation.models import catalog
from distillation.records import AnswerLine, Dimensions, Prompt, Record, Run, Usage, size_of
from distillation.storage import Bucket

BYTES_PER_TOKEN = 4
OVERHEAD_TOKENS = 10
"""Tokens of roles and separators around the texts of one question."""


class Calibration(Record):
    """``calibration/<model>.json``: means over the answers of one model in one run."""

    model: str
    """Model id."""
    run: str
    """Run that was measured."""
    answers: int
    """Number of answers."""
    image_factor: float = Field(ge=0)
    """Tokens of an image, in multiples of the family's rule."""
    labeler: str
    """Labeler id of the run."""
    answer_tokens: float = Field(ge=0)
    """Mean tokens of an answer."""
    gain_sd: float | None = Field(default=None, ge=0)
    """Standard deviation of a student's gains in agreement per image; null for a teacher."""


def text_tokens(prompt: Prompt, bytes_per_token: float = BYTES_PER_TOKEN) -> float:
    """Return the tokens of a question without its image, at ``bytes_per_token`` bytes of text per token."""
    return len((prompt.system + prompt.user).encode()) / bytes_per_token + OVERHEAD_TOKENS


def calibrate(
    run: Run,
    dimensions: Mapping[str, Dimensions],
    answers: Mapping[str, Mapping[str, AnswerLine]],
    data: Bucket,
    gain_sd: float | None = None,
) -> None:
    """Save the calibrations of teacher and student; a model without answers keeps its earlier one.

    ``dimensions`` are by image; ``answers`` are by answerer, then by image. ``gain_sd`` is the standard deviation of
    the student's gains, if they were measured.
    """
    # The base model with examples has a longer prompt, and another student is another model.
    students = [name for name in answers if name == "base" or size_of(name) is not None]
    for model, prompt, answerers in (
        (run.teacher.model, run.prompt, ["teacher"]),
        (run.student, run.student_prompt, students),
    ):
        lines = (line for name in answerers for line in answers.get(name, {}).values())
        if calibration := measure(model, run.name, run.teacher.id, prompt, _billed(lines, dimensions)):
            measured_sd = gain_sd if model == run.student else None
            save(calibration.model_copy(update={"gain_sd": measured_sd}), data)


def measure(
    model: str, run: str, labeler: str, prompt: Prompt, answers: Sequence[tuple[Dimensions, Usage]]
) -> Calibration | None:
    """Return the calibration of a model from image dimensions and billed tokens; None without answers."""
    rule = sum(catalog.get_model(model).family.image_tokens(*dimensions) for dimensions, _ in answers)
    if not rule:
        return None
    billed = sum(usage.input_tokens for _, usage in answers)
    return Calibration(
        model=model,
        run=run,
        answers=len(answers),
        image_factor=max(0.0, billed - text_tokens(prompt) * len(answers)) / rule,
        labeler=labeler,
        answer_tokens=sum(usage.output_tokens for _, usage in answers) / len(answers),
    )


def save(calibration: Calibration, data: Bucket) -> None:
    """Write a calibration, replacing the model's earlier one."""
    data.write_document(_key(calibration.model), calibration)


def load(model: str, data: Bucket) -> Calibration | None:
    """Return the latest calibration of a model; None if there is none or it is damaged, and the rules apply."""
    calibration = data.find_intact(_key(model), Calibration)
    return calibration if calibration and calibration.model == model else None


def load_all(models: Iterable[str], data: Bucket) -> dict[str, Calibration]:
    """Return the latest calibrations of models by model id, without those that have none."""
    return {model: calibration for model in models if (calibration := load(model, data))}


def load_for(run: Run, data: Bucket) -> dict[str, Calibration]:
    """Return the latest calibrations of the models that a run asks."""
    return load_all((run.teacher.model, run.student, *run.alternatives), data)


def _billed(lines: Iterable[AnswerLine], dimensions: Mapping[str, Dimensions]) -> list[tuple[Dimensions, Usage]]:
    return [
        (dimensions[line.image], line.usage)
        for line in lines
        if line.usage and line.status == "ok" and line.image in dimensions
    ]


def _key(model: str) -> str:
    return keys.calibration_key(re.sub(r"[^A-Za-z0-9.-]", "-", model))
