"""Tokens of questions and answers: by the family's rule, or as measured in earlier runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillation.answers.formats import format_of
from distillation.costs.calibration import Calibration, text_tokens
from distillation.costs.lines import exactly
from distillation.documents import Bounds
from distillation.models import catalog
from distillation.models.model import Family
from distillation.records import Dimensions, Prompt, Run

_DEVIATION = 0.1
"""Share by which other photos than the measured ones may differ."""


@dataclass(frozen=True)
class Tokens:
    """Token counts of one model with one prompt."""

    family: Family
    text: Bounds
    """Tokens of the prompt."""
    factor: Bounds
    """Tokens of an image, in multiples of the family's rule."""
    answer: Bounds
    """Tokens of an answer."""
    source: str
    """Source of the counts, for the reader of an estimate."""

    def questions(self, images: Sequence[Dimensions]) -> Bounds:
        """Return the input tokens of one question about each image."""
        # Photos of a collection have few different sizes.
        rule = sum(self.family.image_tokens(*size) * count for size, count in Counter(images).items())
        return self.text.times(len(images)) + self.factor.times(rule)

    def training_records(self, images: Sequence[Dimensions], answer: Bounds) -> Bounds:
        """Return the tokens of one training record per image: question, image and ``answer``.

        How Bedrock counts an image in training is documented nowhere. The expected and the low count are those of the
        only published bill (``training_image_tokens`` in catalog.toml). The high count is the family's rule with its
        spread, so that the bounds cover the bill and the whole record.
        """
        if self.family.training_image_tokens is None:
            return self.questions(images) + answer.times(len(images))
        by_rule = [(self.family.image_tokens(*size), count) for size, count in Counter(images).items()]
        low, expected = self.family.training_image_tokens
        image_tokens = Bounds(
            low=sum(min(tokens * self.factor.low, low) * count for tokens, count in by_rule),
            expected=sum(min(tokens * self.factor.expected, expected) * count for tokens, count in by_rule),
            high=sum(tokens * count for tokens, count in by_rule) * self.factor.high,
        )
        return self.text.times(len(images)) + image_tokens + answer.times(len(images))


@dataclass(frozen=True)
class RunTokens:
    """Token counts of the models that a run asks."""

    run: Run
    calibrations: Mapping[str, Calibration]
    """Calibrations by model id."""

    @property
    def teacher(self) -> Tokens:
        """Counts of the teacher."""
        return self.of(self.run.teacher.model, self.run.prompt)

    @property
    def student(self) -> Tokens:
        """Counts of the student and its tuned models."""
        return self.of(self.run.student, self.run.student_prompt)

    def of(self, model: str, prompt: Prompt) -> Tokens:
        """Return the counts of a model with a prompt."""
        return question_tokens(self.run, model, prompt, self.calibrations.get(model))


def question_tokens(run: Run, model: str, prompt: Prompt, calibration: Calibration | None) -> Tokens:
    """Return the token counts of a prompt for a model, measured as far as ``calibration`` has them."""
    family = catalog.get_model(model).family
    low, high = family.image_tokens_spread
    fewest, expected, most = (text_tokens(prompt, bytes_per_token) for bytes_per_token in (5, 4, 3))
    text = Bounds(low=fewest, expected=expected, high=most)
    factor = Bounds(low=low, expected=1.0, high=high)
    answer = _answer_tokens(run)
    answers = f"answers of {answer.low:.0f} to {answer.high:.0f} tokens"
    if _has_own_prompt(run):
        answers += ", because the prompt is your own"
    source = f"images at {low:g} to {high:g} times the family's rule, three to five bytes of text per token"
    if calibration:
        factor = _plus_minus(calibration.image_factor)
        text = exactly(text.expected)
        source = (
            f"images at {calibration.image_factor:.2f} times the family's rule ± {_DEVIATION:.0%}, measured on "
            f"{calibration.answers} answers of run {calibration.run}"
        )
        if calibration.labeler == run.teacher.id:
            answer = _plus_minus(calibration.answer_tokens)
            answers = f"answers of {calibration.answer_tokens:.0f} tokens, measured in the same run"
    return Tokens(family, text, factor, answer, f"{model}: {source}; {answers}")


def _answer_tokens(run: Run) -> Bounds:
    maximum = run.teacher.max_tokens
    low, expected, high = (min(tokens, maximum) for tokens in format_of(run).answer_tokens())
    return Bounds(low=low, expected=expected, high=maximum if _has_own_prompt(run) else high)


def _has_own_prompt(run: Run) -> bool:
    return not isinstance(run.request.prompt, str)


def _plus_minus(value: float) -> Bounds:
    return Bounds(low=value * (1 - _DEVIATION), expected=value, high=value * (1 + _DEVIATION))
