"""Estimate the cost of a run with ``apply``: a tuned model's answers, and the teacher's for fallback and audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillation.costs.answers import CALLS_PER_ANSWER, answer_lines, answer_tokens
from distillation.costs.calibration import Calibration
from distillation.costs.daily_quota import daily_quota_uses
from distillation.costs.estimate import compare_with_budget
from distillation.costs.lines import CostLine, exactly, merged
from distillation.costs.tokens import Tokens, question_tokens
from distillation.documents import ApplyEstimate, Bounds
from distillation.records import Dimensions, RequestedTier, Run


@dataclass(frozen=True)
class TeacherQuestions:
    """Questions to the teacher in a run with ``apply``."""

    audited: Sequence[Dimensions]
    """One entry for each label of the audit that no run has paid for."""
    invalid: Bounds
    """Share of the images, 0-1, that it is asked about because the tuned model's answer is not valid."""


def estimate_apply(
    run: Run, images: Sequence[Dimensions], questions: TeacherQuestions, calibrations: Mapping[str, Calibration]
) -> ApplyEstimate:
    """Return the estimate of the answers about images; ``calibrations`` are by model id.

    Raises ``InvalidRequest`` for a model without a price.
    """
    teacher = question_tokens(run, run.teacher.model, run.prompt, calibrations.get(run.teacher.model))
    student = question_tokens(run, run.student, run.student_prompt, calibrations.get(run.student))
    fallbacks = questions.invalid.times_bounds(CALLS_PER_ANSWER)
    tier = run.request.service_tier
    lines: list[CostLine] = []
    used: Counter[str] = Counter()

    def add(tokens: Tokens, model: str, about: Sequence[Dimensions], calls: Bounds, tier: RequestedTier) -> None:
        if about and calls.high:
            lines.extend(answer_lines("PredictImages", model, about, tokens, calls, tier))
            used[model] += round(answer_tokens(about, tokens, calls).expected)

    add(student, run.student, images, exactly(1), "default")
    add(teacher, run.teacher.model, images, fallbacks, tier)
    add(teacher, run.teacher.model, questions.audited, CALLS_PER_ANSWER, tier)
    return compare_with_budget(run, merged(lines), daily_quota_uses(run, used))
