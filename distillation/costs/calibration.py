"""What a model's own answers told of our token rules: kept by every run, used by the next estimate."""

from __future__ import annotations

import re
from collections.abc import Sequence

from distillation import keys
from distillation.models import catalog
from distillation.records import Prompt, Record, Usage
from distillation.storage import Bucket

BYTES_PER_TOKEN = 4
OVERHEAD_TOKENS = 10
"""Roles and separators around the texts of one question."""


class Calibration(Record):
    """Means over one run's answers of one model. Kept as ``calibration/<model>.json``."""

    model: str
    run: str
    answers: int
    image_factor: float
    """Tokens of an image, in multiples of the family's rule."""
    labeler: str
    answer_tokens: float


def text_tokens(prompt: Prompt, bytes_per_token: float = BYTES_PER_TOKEN) -> float:
    """Return the tokens of a question but for its image, by the rule of four bytes a token."""
    return len((prompt.system + prompt.user).encode()) / bytes_per_token + OVERHEAD_TOKENS


def measure(
    model: str, run: str, labeler: str, prompt: Prompt, answers: Sequence[tuple[tuple[int, int], Usage]]
) -> Calibration | None:
    """Compare what answers about images of known sizes were billed with the rule; None without any."""
    rule = sum(catalog.get_model(model).family.image_tokens(*size) for size, _ in answers)
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


def save(found: Calibration, data: Bucket) -> None:
    """Keep a calibration in the place of the one before."""
    data.write(_key(found.model), found.model_dump_json(indent=1).encode())


def load(model: str, data: Bucket) -> Calibration | None:
    """Return what was measured of a model last; None if nothing was."""
    body = data.get_or_none(_key(model))
    return Calibration.model_validate_json(body) if body else None


def _key(model: str) -> str:
    return keys.calibration_key(re.sub(r"[^A-Za-z0-9.-]", "-", model))
