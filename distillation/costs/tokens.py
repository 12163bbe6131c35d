"""How many tokens questions and answers have: by rule, or as earlier answers of the model measured them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distillation.costs.calibration import Calibration, text_tokens
from distillation.costs.range import CostRange
from distillation.costs.workload import Size
from distillation.models import catalog
from distillation.models.catalog import Family
from distillation.records import Run

_ANSWER = CostRange(45, 120, 200)
"""15 keywords of a word; 25 of two; 25 of three long ones."""
_OTHER_PHOTOS = 0.1
"""By how much other photos than those measured may differ, as a share."""


@dataclass(frozen=True)
class Tokens:
    """Of one model and prompt: ``text`` and ``answer`` for each image, ``factor`` in multiples of the family's rule."""

    family: Family
    text: CostRange
    factor: CostRange
    answer: CostRange
    source: str

    def questions(self, images: Sequence[Size]) -> CostRange:
        """Return the input tokens of a question about each image."""
        rule = sum(self.family.image_tokens(width, height) for width, height in images)
        return self.text.times(len(images)) + self.factor.times(rule)


def question_tokens(run: Run, model: str, found: Calibration | None) -> Tokens:
    """Return the tokens of a run's prompt for a model, measured where ``found`` says so."""
    family = catalog.get_model(model).family
    low, high = family.image_tokens_spread
    text, factor = CostRange(*(text_tokens(run.prompt, size) for size in (5, 4, 3))), CostRange(low, 1.0, high)
    answer, answered = _answer(run), "answers of 45 to 200 tokens"
    if not isinstance(run.request.prompt, str):
        answered = f"answers of 45 to {answer.high:.0f} tokens, as the prompt is your own"
    source = f"images at {low:g} to {high:g} of the family's rule, three to five bytes of text a token"
    if found:
        factor = _about(found.image_factor)
        text = CostRange(*[text.expected] * 3)
        source = f"images at {found.image_factor:.2f} of the family's rule, measured on {found.answers} answers"
        source += f" of {found.run}, give or take {_OTHER_PHOTOS:.0%}"
        if found.labeler == run.teacher.id:
            answer = _about(found.answer_tokens)
            answered = f"answers of {found.answer_tokens:.0f} tokens, measured there"
    return Tokens(family, text, factor, answer, f"{model}: {source}; {answered}")


def _answer(run: Run) -> CostRange:
    most = run.teacher.max_tokens
    own = not isinstance(run.request.prompt, str)
    return CostRange(min(_ANSWER.low, most), min(_ANSWER.expected, most), most if own else min(_ANSWER.high, most))


def _about(value: float) -> CostRange:
    return CostRange(value * (1 - _OTHER_PHOTOS), value, value * (1 + _OTHER_PHOTOS))
