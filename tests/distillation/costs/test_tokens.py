from __future__ import annotations

import pytest

from distillation.costs.calibration import Calibration
from distillation.costs.tokens import question_tokens
from distillation.documents import Bounds
from tests.support.builders import any_run

PRO = "amazon.nova-pro-v1:0"
CALIBRATION = Calibration(model=PRO, run="holiday-0", answers=10, image_factor=1.5, labeler="labeler", answer_tokens=60)


def test_tokens_follow_the_rule_of_the_family_without_a_calibration() -> None:
    tokens = question_tokens(any_run(), PRO, None)
    text_bytes = len("You index photographs.Write keywords.")

    assert tokens.questions([(900, 600)] * 2).expected == pytest.approx(2 * (text_bytes / 4 + 10 + 900 * 600 / 625))
    assert tokens.answer == Bounds(low=45, expected=120, high=200)
    assert tokens.source.startswith(f"{PRO}: images at 0.89 to 1.23 times the family's rule")


def test_calibration_replaces_the_rule_by_ten_percent_around_the_measured_tokens() -> None:
    tokens = question_tokens(any_run(), PRO, CALIBRATION)

    assert (tokens.factor.low, tokens.factor.expected, tokens.factor.high) == pytest.approx((1.35, 1.5, 1.65))
    assert (tokens.answer.low, tokens.answer.expected, tokens.answer.high) == pytest.approx((54, 60, 66))
    assert tokens.text.low == tokens.text.high


def test_answers_of_another_labeler_do_not_calibrate_the_answer() -> None:
    other = CALIBRATION.model_copy(update={"labeler": "other"})

    assert question_tokens(any_run(), PRO, other).answer == Bounds(low=45, expected=120, high=200)


def test_answer_is_limited_by_max_tokens() -> None:
    run = any_run()
    run = run.model_copy(update={"teacher": run.teacher.model_copy(update={"max_tokens": 100})})

    assert question_tokens(run, PRO, None).answer == Bounds(low=45, expected=100, high=100)


def test_answer_to_an_own_prompt_may_have_max_tokens() -> None:
    tokens = question_tokens(any_run(prompt={"system": "Describe.", "user": "What is this?"}), PRO, None)

    assert tokens.answer == Bounds(low=45, expected=120, high=400)
    assert "answers of 45 to 400 tokens, because the prompt is your own" in tokens.source
