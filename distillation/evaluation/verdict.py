"""Verdicts: what the figures of a run, a baseline round or a comparison say, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from distillation.documents import Baseline, EvaluationFigures, Gate, Growth
from distillation.records import TrainedModel, Until, size_of

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
