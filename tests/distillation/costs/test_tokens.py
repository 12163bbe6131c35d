from __future__ import annotations

import pytest

from distillation.costs.calibration import Calibration
from distillation.costs.lines import exactly
from distillation.costs.tokens import RunTokens, question_tokens
from distillation.documents import Bounds
from distillation.records import Prompt
from tests.support.builders import any_run

PRO, LITE, NOVA_2 = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0", "us.amazon.nova-2-lite-v1:0"
CALIBRATION = Calibration(model=PRO, run="holiday-0", answers=10, image_factor=1.5, labeler="labeler", answer_tokens=60)


def test_tokens_follow_the_rule_of_the_family_without_a_calibration() -> None:
    tokens = question_tokens(any_run(), PRO, any_run().prompt, None)
    text_bytes = len("You index photographs.Write keywords.")

    assert tokens.questions([(900, 600)] * 2).expected == pytest.approx(2 * (text_bytes / 4 + 10 + 900 * 600 / 625))
    assert tokens.answer == Bounds(low=45, expected=120, high=200)
    assert tokens.source.startswith(f"{PRO}: images at 0.89 to 1.23 times the family's rule")


def test_calibration_replaces_the_rule_by_ten_percent_around_the_measured_tokens() -> None:
    tokens = question_tokens(any_run(), PRO, any_run().prompt, CALIBRATION)

    assert (tokens.factor.low, tokens.factor.expected, tokens.factor.high) == pytest.approx((1.35, 1.5, 1.65))
    assert (tokens.answer.low, tokens.answer.expected, tokens.answer.high) == pytest.approx((54, 60, 66))
    assert tokens.text.low == tokens.text.high


def test_answers_of_another_labeler_do_not_calibrate_the_answer() -> None:
    other = CALIBRATION.model_copy(update={"labeler": "other"})

    assert question_tokens(any_run(), PRO, any_run().prompt, other).answer == Bounds(low=45, expected=120, high=200)


def test_answer_is_limited_by_max_tokens() -> None:
    run = any_run()
    run = run.model_copy(update={"teacher": run.teacher.model_copy(update={"max_tokens": 100})})

    assert question_tokens(run, PRO, run.prompt, None).answer == Bounds(low=45, expected=100, high=100)


def test_answer_to_an_own_prompt_may_have_max_tokens() -> None:
    tokens = question_tokens(
        any_run(prompt={"system": "Describe.", "user": "What is this?"}), PRO, any_run().prompt, None
    )

    assert tokens.answer == Bounds(low=45, expected=120, high=400)
    assert "answers of 45 to 400 tokens, because the prompt is your own" in tokens.source


def test_image_in_training_has_the_tokens_of_the_published_bill_and_at_most_those_of_the_rule() -> None:
    tokens = question_tokens(any_run(), LITE, any_run().prompt, None)
    text = tokens.text

    for size in ((900, 600), (900, 900)):
        record = tokens.training_records([size], exactly(120))
        assert record.expected == pytest.approx(text.expected + 448 + 120)
        assert record.low == pytest.approx(text.low + 381 + 120)
        assert record.high == pytest.approx(text.high + 1.23 * size[0] * size[1] / 625 + 120)


def test_image_in_training_never_has_more_tokens_than_were_measured() -> None:
    measured = CALIBRATION.model_copy(update={"model": LITE, "image_factor": 0.25})
    tokens = question_tokens(any_run(), LITE, any_run().prompt, measured)
    record = tokens.training_records([(900, 600)], exactly(0))

    assert record.expected == pytest.approx(tokens.text.expected + 0.25 * 864)
    assert record.low <= record.expected <= record.high


def test_family_without_a_bill_trains_on_the_tokens_of_its_rule() -> None:
    tokens = question_tokens(any_run(), NOVA_2, any_run().prompt, None)

    assert tokens.training_records([(900, 600)], exactly(120)).expected == pytest.approx(tokens.text.expected + 350)


def test_student_is_counted_with_its_own_prompt_and_the_teacher_with_the_other() -> None:
    run = any_run().model_copy(update={"student_prompt": Prompt(system="s" * 400, user="u" * 400)})
    tokens = RunTokens(run, {})

    assert tokens.student.text.expected == 210
    assert tokens.teacher.text.expected < 50
