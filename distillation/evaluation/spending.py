"""Costs in the report: estimated and spent by step, the break-even, and what other choices would cost or save."""

from __future__ import annotations

from collections.abc import Sequence

from distillation.costs.break_even import break_even
from distillation.costs.calibration import text_tokens
from distillation.costs.lines import exactly
from distillation.documents import (
    BreakEven,
    Doubling,
    Estimate,
    EvaluationFigures,
    Ledger,
    Money,
    ServingCost,
    StepMoney,
    StudentPrompt,
)
from distillation.evaluation.training_price import label_usd, training_usd
from distillation.ledger import inference_usd, usd_per_1000_answers
from distillation.models.service_tier import cheapest_tier
from distillation.records import Run, ServiceTier, TrainedModel


def money(run: Run, estimate: Estimate | None, ledger: Ledger, figures: EvaluationFigures | None) -> Money:
    """Return estimated and spent US dollars by step, and the break-even against the teacher."""
    result = _break_even(run, ledger.usd, figures)
    images = None if result is None or result.never_pays else result.images
    spent: dict[str, float] = {}
    for entry in ledger.entries:
        spent[entry.step] = spent.get(entry.step, 0.0) + entry.usd
    unconfirmed = {entry.step for entry in ledger.entries if not entry.confirmed}
    estimated = estimate.by_step if estimate else {}
    unconfirmed |= {step for step, cost in estimated.items() if not cost.confirmed}
    return Money(
        by_step=[
            StepMoney(
                step=step,
                estimated=estimated.get(step),
                spent=spent.get(step),
                confirmed=step not in unconfirmed,
            )
            for step in dict.fromkeys([*estimated, *spent])
        ],
        break_even_images=round(images.expected) if images else None,
        break_even=result,
    )


def doubling(run: Run, figures: EvaluationFigures, models: Sequence[TrainedModel], ledger: Ledger) -> Doubling | None:
    """Return expected gain and cost of twice the largest trained size.

    None without a scaling curve, or if the price of training is unknown because all models and labels were reused.
    """
    if figures.curve is None:
        return None
    size = figures.curve.next_size
    training = training_usd(run, size, models, ledger)
    if training is None:
        return None
    largest = max(model.size for model in models if model.status == "Active")
    labels = (label_usd(run, ledger, figures) or 0.0) * (size - largest)
    return Doubling(size=size, gain=figures.curve.gain, usd=training + labels)


def student_prompt(run: Run) -> StudentPrompt | None:
    """Return what the student's own prompt saves; None if it is the teacher's."""
    if run.student_prompt == run.prompt:
        return None
    teacher, student = (round(text_tokens(prompt)) for prompt in (run.prompt, run.student_prompt))
    saved = inference_usd(run.student, 1000 * (teacher - student), 0)
    return StudentPrompt(teacher_tokens=teacher, student_tokens=student, saved_usd_per_1000=saved)


def _break_even(run: Run, usd: float, figures: EvaluationFigures | None) -> BreakEven | None:
    """Return the break-even of a run that cost ``usd``, at the measured tokens per answer; None without both prices.

    The teacher is priced on its cheapest tier, whichever tier answered in this run.
    """
    serving = figures.serving if figures else {}
    teacher = serving.get("teacher")
    student = serving.get(figures.best if figures else "") or serving.get("base")
    if teacher is None or student is None or None in (teacher.usd_per_1000, student.usd_per_1000):
        return None
    teacher_usd = _usd_per_1000(run.teacher.model, teacher, cheapest_tier(run.teacher.model))
    return break_even(run, teacher_usd, _usd_per_1000(run.student, student), exactly(usd))


def _usd_per_1000(model: str, cost: ServingCost, tier: ServiceTier = "default") -> float:
    return usd_per_1000_answers(model, cost.input_tokens, cost.output_tokens, tier)
