"""Cost of answers: input and output tokens of one model about images."""

from __future__ import annotations

from collections.abc import Sequence

from distillation.costs.lines import CostLine
from distillation.costs.tokens import Tokens
from distillation.documents import Bounds
from distillation.ledger import tier_suffix
from distillation.models import catalog
from distillation.models.service_tier import first_tier
from distillation.records import Dimensions, RequestedTier

CALLS_PER_ANSWER = Bounds(low=1.0, expected=1.05, high=1.25)
"""Teacher calls per answer: a rejected answer is asked for once more. Not measured."""


def answer_tokens(images: Sequence[Dimensions], tokens: Tokens, calls: Bounds) -> Bounds:
    """Return the input and output tokens of one answer about each image; ``calls`` is the number of calls per image."""
    return (tokens.questions(images) + tokens.answer.times(len(images))).times_bounds(calls)


def answer_lines(
    step: str,
    model_id: str,
    images: Sequence[Dimensions],
    tokens: Tokens,
    calls: Bounds,
    requested_tier: RequestedTier = "default",
) -> list[CostLine]:
    """Return the lines of input and output tokens; ``calls`` is the number of calls per image.

    With the tier ``auto``, the high bound has the price of the standard tier, to which calls move if flex throttles.
    """
    model, tier = catalog.get_model(model_id), first_tier(model_id, requested_tier)
    counts = {
        "input": tokens.questions(images).times_bounds(calls),
        "output": tokens.answer.times(len(images)).times_bounds(calls),
    }
    return [
        CostLine(
            step,
            f"{model.display_name}, {use}",
            quantity,
            model.price(f"{use}{tier_suffix(tier)}"),
            model.price(use) if requested_tier == "auto" and tier != "default" else None,
        )
        for use, quantity in counts.items()
    ]
