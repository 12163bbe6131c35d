from __future__ import annotations

from typing import Any

import pytest

from distillation.costs.apply import TeacherQuestions, estimate_apply
from distillation.costs.lines import exactly
from distillation.documents import ApplyEstimate, Bounds
from distillation.records import Prompt, Quota, Run
from tests.support.builders import any_run

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
LANDSCAPE = (900, 600)
NO_QUESTIONS = TeacherQuestions([], exactly(0))
IMAGE_TOKENS = 900 * 600 / 625


def applying(**request: Any) -> Run:
    """Return a run with ``apply``, whose teacher has a prompt ten times as long as the student's."""
    run = any_run(apply="tuned-1", **request)
    return run.model_copy(update={"prompt": Prompt(system="s" * 2000, user="u" * 2000)})


def estimated(run: Run, questions: TeacherQuestions = NO_QUESTIONS, images: int = 100) -> ApplyEstimate:
    return estimate_apply(run, [LANDSCAPE] * images, questions, {})


def question_tokens(prompt: Prompt) -> float:
    return len((prompt.system + prompt.user).encode()) / 4 + 10 + IMAGE_TOKENS


def test_answers_of_the_tuned_model_have_the_tokens_of_the_student_prompt() -> None:
    run = applying()
    question = question_tokens(run.student_prompt)

    assert estimated(run).usd == pytest.approx(100 * (question * 0.06 + 120 * 0.24) / 1e6, abs=1e-6)


def test_fallback_and_audit_are_priced_at_the_tier_and_with_the_prompt_of_the_teacher() -> None:
    run = applying(fallback="teacher", service_tier="default")
    questions = TeacherQuestions([LANDSCAPE] * 20, Bounds(low=0.0, expected=0.02, high=0.1))
    per_answer = 1.05 * (question_tokens(run.prompt) * 0.8 + 120 * 3.2) / 1e6
    alone, estimate = estimated(run), estimated(run, questions)

    assert estimate.usd - alone.usd == pytest.approx((20 + 0.02 * 100) * per_answer, abs=1e-6)
    # More answers may be invalid than expected.
    assert estimate.range.high - alone.range.high > (20 + 0.1 * 100) * per_answer
    cheaper = applying(fallback="teacher", service_tier="flex")
    assert estimated(cheaper, questions).usd - alone.usd == pytest.approx((estimate.usd - alone.usd) / 2, abs=1e-6)


def test_questions_to_the_teacher_count_against_budget_and_daily_quota() -> None:
    run = applying(max_usd=0.02)
    run = run.model_copy(update={"quotas": {PRO: Quota(tokens_per_day=1e6), LITE: Quota(tokens_per_day=1e6)}})
    audited = TeacherQuestions([LANDSCAPE] * 20, exactly(0))

    assert estimated(run).within_budget
    assert not estimated(run, audited).within_budget
    assert [use.model for use in estimated(run).daily_quotas] == [LITE]
    tokens = {use.model: use.tokens for use in estimated(run, audited).daily_quotas}
    assert tokens[PRO] == pytest.approx(20 * 1.05 * (question_tokens(run.prompt) + 120), rel=0.001)
