from __future__ import annotations

from typing import Any

import pytest

from distillation.documents import EvaluationFigures, Gate, Interval
from distillation.evaluation.verdict import round_verdict, run_verdict, score_verdict, stopped_verdict
from distillation.records import TrainedModel
from tests.support.builders import any_baseline, any_report


def figures(**fields: Any) -> EvaluationFigures:
    report = any_report(models=[TrainedModel(size=12, status="Active", model_name="m")])
    assert report.evaluation is not None
    return report.evaluation.model_copy(update=fields)


def gate(*, promoted: str | None = None, reasons: tuple[str, ...] = ()) -> Gate:
    gain = Interval(mean=0.2, ci95=(0.1, 0.3))
    return Gate(best="n12", gain=gain, passed=not reasons, promoted=promoted, reasons=list(reasons))


def test_verdict_has_score_change_and_decision() -> None:
    assert run_verdict(figures(gate=gate(promoted="m"))) == (
        "Trained on 12 images, the student matches the teacher with an agreement of 0.50 on 15 test images, up from "
        "0.30 before training (+0.20, 95 % CI +0.10 to +0.30). The gain is statistically significant, and the student "
        "is better than the best constant answer. Model promoted."
    )


def test_score_without_base_is_that_of_the_best_size() -> None:
    scores = {f"n{size}": Interval(mean=size / 100, ci95=(0, 1)) for size in (10, 90)}
    both = figures(gate=None, best="n90")
    text = run_verdict(both.model_copy(update={"agreement": both.agreement.model_copy(update={"tuned": scores})}))

    assert text == "The n90 matches the teacher with an agreement of 0.90."


@pytest.mark.parametrize(("gain", "change"), [(0.001, "up"), (0.0, "unchanged"), (-0.001, "down")])
def test_verdict_says_up_or_down_only_of_a_score_that_changed(gain: float, change: str) -> None:
    equal = gate(reasons=("r",)).model_copy(update={"gain": Interval(mean=gain, ci95=(-0.1, 0.1))})

    assert f"test images, {change} from 0.30 before training" in run_verdict(figures(gate=equal))


@pytest.mark.parametrize(
    ("write", "promoted", "ending"),
    [
        (run_verdict, "m", "Model promoted."),
        (run_verdict, None, "none is kept, as requested."),
        (round_verdict, None, "The student passes the gate."),
    ],
)
def test_verdict_says_promoted_only_of_a_model_that_is_kept(write: Any, promoted: str | None, ending: str) -> None:
    text = write(figures(gate=gate(promoted=promoted)))

    assert text.endswith(ending)
    assert ("promoted" in text) == (promoted is not None)


def test_verdict_of_a_refused_model_has_every_reason() -> None:
    refused = figures(gate=gate(reasons=("the first", "the second")))

    assert run_verdict(refused).endswith("Model not promoted: the first; the second.")
    assert round_verdict(refused).endswith("The student does not pass the gate: the first; the second.")


def test_verdict_ends_with_why_interval_and_test_disagree() -> None:
    refused = gate(reasons=("the first",)).model_copy(update={"disagreement": "They disagree."})

    assert run_verdict(figures(gate=refused)).endswith("Model not promoted: the first. They disagree.")


def test_verdict_without_base_has_the_score_alone() -> None:
    alone = figures(gate=None)

    assert run_verdict(alone) == round_verdict(alone) == score_verdict(alone)
    assert "agreement of 0.50" in score_verdict(alone)


def test_verdict_of_a_run_that_stopped_early_names_the_step() -> None:
    assert stopped_verdict("LabelImages") == "Stopped after LabelImages, as requested. No model was trained."


@pytest.mark.parametrize(
    ("until", "beginning"),
    [("Baseline", "Stopped after Baseline, as requested. No model was trained. "), (None, "Not trained: ")],
)
def test_verdict_of_a_run_that_ended_with_its_baseline_has_the_gap(until: Any, beginning: str) -> None:
    verdict = stopped_verdict(until, any_baseline())

    assert verdict.startswith(beginning)
    assert "Nova Lite matches the teacher with an agreement of 0.30 on 200 test images" in verdict
    assert "(gap +0.40, 95 % CI " in verdict
    assert verdict.endswith("; minimum_gap 0.05).")
