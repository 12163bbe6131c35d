"""Conclusions from the figures: the verdict in a sentence, the effect of more images, and the costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from distillation.costs.break_even import break_even
from distillation.costs.calibration import text_tokens
from distillation.costs.lines import exactly
from distillation.documents import (
    Baseline,
    BreakEven,
    Doubling,
    Estimate,
    EvaluationFigures,
    Gate,
    Growth,
    Ledger,
    Money,
    ServingCost,
    StepMoney,
    StudentPrompt,
)
from distillation.evaluation.training_price import label_usd, training_usd
from distillation.ledger import inference_usd, usd_per_1000_answers
from distillation.models.service_tier import cheapest_tier
from distillation.records import Run, ServiceTier, TrainedModel, Until, size_of

_SIGNIFICANT = "The gain is statistically significant, and the student is better than the best constant answer."


def stopped_verdict(until: Until | None, baseline: Baseline | None = None) -> str:
    """Return the verdict of a run that trained nothing: as requested, or because its baseline is near the ceiling."""
    measured = baseline_verdict(baseline) if baseline else ""
    if until is None:
        return f"Not trained: training is not expected to raise the agreement by minimum_gap. {measured}".rstrip()
    return f"Stopped after {until}, as requested. No model was trained. {measured}".rstrip()


def baseline_verdict(baseline: Baseline) -> str:
    """Return the figures of a baseline in a sentence."""
    gap, best = baseline.gap, baseline.best_alternative
    return (
        f"Without training, {best.label} matches the teacher with an agreement of {best.agreement.mean:.2f} on "
        f"{baseline.test_images} test images, and the teacher matches itself with {baseline.ceiling.mean:.2f} "
        f"(gap {gap.mean:+.2f}, 95 % CI {gap.low:+.2f} to {gap.high:+.2f}; minimum_gap {baseline.minimum_gap:.2f})."
    )


def run_verdict(figures: EvaluationFigures, growth: Growth | None = None) -> str:
    """Return the verdict of a run that trained a model, and with ``growth`` why it stopped or continues."""
    if growth is not None:
        decision = run_verdict(figures) if growth.stopped else round_verdict(figures)
        return f"{decision} {growth.reason}"
    promoted = figures.gate and figures.gate.promoted
    passed = "Model promoted." if promoted else "The model passes the gate; none is kept, as requested."
    return _gate_verdict(figures, passed=passed, refused="Model not promoted")


def student_prompt(run: Run) -> StudentPrompt | None:
    """Return what the student's own prompt saves; None if it is the teacher's."""
    if run.student_prompt == run.prompt:
        return None
    teacher, student = (round(text_tokens(prompt)) for prompt in (run.prompt, run.student_prompt))
    saved = inference_usd(run.student, 1000 * (teacher - student), 0)
    return StudentPrompt(teacher_tokens=teacher, student_tokens=student, saved_usd_per_1000=saved)


def reuse_note(models: Iterable[TrainedModel]) -> str:
    """Return a sentence about the models that earlier runs trained; empty if there are none."""
    reused = [f"size {model.size} was trained by run {model.trained_by}" for model in models if model.trained_by]
    return f"Reused and not paid for again: {', '.join(reused)}." if reused else ""


def round_verdict(figures: EvaluationFigures) -> str:
    """Return the verdict of a round that another one follows, so nothing is promoted yet."""
    return _gate_verdict(figures, passed="The student passes the gate.", refused="The student does not pass the gate")


def comparison_verdict(figures: EvaluationFigures) -> str:
    """Return the verdict of ``distill evaluate``, which promotes nothing and does not know what was trained."""
    score, base, gate = figures.agreement.tuned[figures.best], figures.agreement.base, figures.gate
    verdict = (
        f"The student's answers match the teacher's with an agreement of {score.mean:.2f} "
        f"on {figures.test_images} image{'s' if figures.test_images > 1 else ''}."
    )
    if gate is None or base is None:
        return verdict
    change = (
        f"That is {gate.gain.mean:+.2f} (95 % CI {gate.gain.low:+.2f} to {gate.gain.high:+.2f}) compared with the base "
        f"answers ({base.mean:.2f})."
    )
    decision = (
        f"{_SIGNIFICANT} The student passes the gate."
        if gate.passed
        else f"The student does not pass the gate: {'; '.join(gate.reasons)}."
    )
    return " ".join(filter(None, (verdict, change, decision, gate.disagreement)))


def score_verdict(figures: EvaluationFigures) -> str:
    """Return the score of the best tuned model alone, where there is no base to compare it with."""
    score = figures.agreement.tuned[figures.best]
    return f"The {figures.best} matches the teacher with an agreement of {score.mean:.2f}."


def _gate_verdict(figures: EvaluationFigures, *, passed: str, refused: str) -> str:
    """Return change and decision; ``passed`` is a sentence, and the gate's reasons follow ``refused``."""
    gate = figures.gate
    if gate is None:
        return score_verdict(figures)
    decision = f"{_SIGNIFICANT} {passed}" if gate.passed else f"{refused}: {'; '.join(gate.reasons)}."
    return " ".join(filter(None, (_change(figures, gate), decision, gate.disagreement)))


def _change(figures: EvaluationFigures, gate: Gate) -> str:
    size, tuned, base = size_of(figures.best), figures.agreement.tuned[figures.best], figures.agreement.base
    subject = f"Trained on {size} images, the student matches" if size is not None else "The student matches"
    before = f", {_direction(gate.gain.mean)} from {base.mean:.2f} before training" if base else ""
    return (
        f"{subject} the teacher with an agreement of {tuned.mean:.2f} on {figures.test_images} test images{before} "
        f"({gate.gain.mean:+.2f}, 95 % CI {gate.gain.low:+.2f} to {gate.gain.high:+.2f})."
    )


def _direction(gain: float) -> str:
    if gain == 0:
        return "unchanged"
    return "up" if gain > 0 else "down"


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
