from __future__ import annotations

import pytest

from distillation.costs.answers import answer_lines
from distillation.costs.lines import exactly, total
from distillation.costs.tokens import question_tokens
from distillation.documents import Bounds
from distillation.records import RequestedTier
from tests.support.builders import any_run

PRO, HAIKU = "amazon.nova-pro-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def usd(tier: RequestedTier, model: str = PRO) -> Bounds:
    tokens = question_tokens(any_run(), model, any_run().prompt, None)
    return total(answer_lines("LabelImages", model, [(900, 600)] * 10, tokens, exactly(1), tier))


def test_tier_auto_is_expected_on_flex_and_its_high_bound_is_the_standard_tier() -> None:
    auto, flex, standard = usd("auto"), usd("flex"), usd("default")

    assert (auto.low, auto.expected) == (flex.low, flex.expected)
    assert auto.high == pytest.approx(standard.high)
    assert flex.expected == pytest.approx(standard.expected / 2)


def test_model_without_flex_has_the_standard_tier_with_auto() -> None:
    assert usd("auto", HAIKU) == usd("default", HAIKU)
