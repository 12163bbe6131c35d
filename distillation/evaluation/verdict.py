"""Conclusions from the figures: the verdict in a sentence, the effect of more images, and the costs."""

from __future__ import annotations

from collections.abc import Iterable

from distillation.documents import Doubling, Estimate, EvaluationFigures, Gate, Ledger, Money, StepMoney
from distillation.records import TrainedModel, Until, size_of

_SIGNIFICANT = "The gain is statistically significant and larger than always answering with the most common keywords."


def stopped_verdict(until: Until | None) -> str:
    """Return the verdict of a run that trained nothing."""
    return f"Stopped after {until}, as requested. No model was trained."


def run_verdict(figures: EvaluationFigures) -> str:
    """Return the verdict of a run that trained a model."""
    promoted = figures.gate and figures.gate.promoted
    passed = "Model promoted." if promoted else "The model passes the gate; none is kept, as requested."
    return _gate_verdict(figures, passed=passed, refused="Model not promoted")


def reuse_note(models: Iterable[TrainedModel]) -> str:
    """Return a sentence about the models that earlier runs trained; empty if there are none."""
    reused = [f"size {model.size} was trained by run {model.trained_by}" for model in models if model.trained_by]
    return f"Reused and not paid for again: {', '.join(reused)}." if reused else ""


def files_verdict(figures: EvaluationFigures) -> str:
    """Return the verdict of ``distill evaluate``, which promotes nothing."""
    return _gate_verdict(figures, passed="The student passes the gate.", refused="The student does not pass the gate")


def score_verdict(figures: EvaluationFigures) -> str:
    """Return the score of the best tuned model alone, where there is no base to compare it with."""
    score = figures.jaccard.tuned[figures.best]
    return f"The {figures.best} matches the teacher with a Jaccard index of {score.mean:.2f}."


def _gate_verdict(figures: EvaluationFigures, *, passed: str, refused: str) -> str:
    """Return change and decision; ``passed`` is a sentence, and the gate's reasons follow ``refused``."""
    gate = figures.gate
    if gate is None:
        return score_verdict(figures)
    decision = f"{_SIGNIFICANT} {passed}" if gate.passed else f"{refused}: {'; '.join(gate.reasons)}."
    return " ".join(filter(None, (_change(figures, gate), decision, gate.disagreement)))


def _change(figures: EvaluationFigures, gate: Gate) -> str:
    size, tuned, base = size_of(figures.best), figures.jaccard.tuned[figures.best], figures.jaccard.base
    subject = f"Trained on {size} images, the student matches" if size is not None else "The student matches"
    before = f", {_direction(gate.gain.mean)} from {base.mean:.2f} before training" if base else ""
    return (
        f"{subject} the teacher with a Jaccard index of {tuned.mean:.2f} on {figures.test_images} test images{before} "
        f"({gate.gain.mean:+.2f}, 95 % CI {gate.gain.low:+.2f} to {gate.gain.high:+.2f})."
    )


def _direction(gain: float) -> str:
    if gain == 0:
        return "unchanged"
    return "up" if gain > 0 else "down"


def doubling(
    figures: EvaluationFigures, models: Iterable[TrainedModel], ledger: Ledger, samples_per_image: int
) -> Doubling | None:
    """Return expected gain and cost of twice the largest trained size.

    None without a scaling curve, or if all models were reused. Training is priced at the mean cost of an image in this
    run, labels at the teacher's price for an answer.
    """
    active = [model for model in models if model.status == "Active"]
    sizes = [model.size for model in active if not model.trained_by]
    if figures.curve is None or not sizes:
        return None
    largest = max(model.size for model in active)
    trained_usd = sum(entry.usd for entry in ledger.entries if entry.step == "TrainModels")
    training = trained_usd / sum(sizes) * 2 * largest
    teacher = figures.serving.get("teacher")
    label_usd = (teacher.usd_per_1000 or 0.0) / 1000 if teacher else 0.0
    labels = label_usd * largest * samples_per_image
    return Doubling(size=figures.curve.next_size, gain=figures.curve.gain, usd=training + labels)


def money(estimate: Estimate | None, ledger: Ledger, figures: EvaluationFigures | None) -> Money:
    """Return estimated and spent US dollars by step, and the break-even against the teacher in images."""
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
        break_even_images=_break_even(ledger.usd, figures),
    )


def _break_even(usd: float, figures: EvaluationFigures | None) -> int | None:
    """Return the images after which ``usd`` is saved; None if teacher and student do not differ in price."""
    if figures is None or not {"teacher", "base"} <= figures.serving.keys():
        return None
    teacher, student = (figures.serving[name].usd_per_1000 for name in ("teacher", "base"))
    if teacher is None or student is None or teacher <= student:
        return None
    return round(usd / (teacher - student) * 1000)
