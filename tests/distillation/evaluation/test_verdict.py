from __future__ import annotations

from math import ceil
from typing import Any

import pytest

from distillation.documents import Curve, EvaluationFigures, Gate, Interval, Ledger, LedgerEntry, ServingCost, StepCost
from distillation.evaluation.verdict import (
    doubling,
    money,
    round_verdict,
    run_verdict,
    score_verdict,
    stopped_verdict,
    student_prompt,
)
from distillation.records import Prompt, TrainedModel
from tests.support.builders import any_baseline, any_estimate, any_interval, any_report, any_run


def figures(**fields: Any) -> EvaluationFigures:
    report = any_report(models=[TrainedModel(size=12, status="Active", model_name="m")])
    assert report.evaluation is not None
    return report.evaluation.model_copy(update=fields)


def gate(*, promoted: str | None = None, reasons: tuple[str, ...] = ()) -> Gate:
    gain = Interval(mean=0.2, ci95=(0.1, 0.3))
    return Gate(best="n12", gain=gain, passed=not reasons, promoted=promoted, reasons=list(reasons))


def entry(step: str, usd: float, *, confirmed: bool = True) -> LedgerEntry:
    counts = ("calls", "throttled", "reused", "input_tokens", "output_tokens", "training_tokens")
    return LedgerEntry(step=step, model="m", tier="default", usd=usd, confirmed=confirmed, **dict.fromkeys(counts, 0))


def serving(usd_per_1000: float | None) -> ServingCost:
    return ServingCost(latency_ms=None, input_tokens=1, output_tokens=1, usd_per_1000=usd_per_1000)


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


def test_price_of_twice_the_images_counts_only_sizes_that_were_trained_and_billed() -> None:
    ledger = Ledger(usd=12.0, entries=[entry("TrainModels", 3.0), entry("LabelImages", 9.0)])
    models = [TrainedModel(size=size, status="Active") for size in (10, 20)]
    models.append(TrainedModel(size=40, status="Failed"))
    curve = Curve(line=[], next_size=40, expected=any_interval(), gain=any_interval(0.01))
    result = doubling(any_run(), figures(curve=curve), models, ledger)

    assert result is not None
    assert (result.size, result.gain, result.usd) == (40, any_interval(0.01), pytest.approx(4.0))
    priced = figures(curve=curve, serving={"teacher": serving(100.0)})
    labelled = doubling(any_run(samples_per_image=2), priced, models, ledger)
    assert labelled is not None
    assert labelled.usd == pytest.approx(4.0 + 20 * 2 * 0.1)
    assert doubling(any_run(), figures(), models, ledger) is None


def test_money_lists_estimated_steps_first_and_spent_steps_after_them() -> None:
    step = StepCost(low=1, expected=2, high=3, confirmed=True)
    estimate = any_estimate(by_step={"LabelImages": step, "S3": step.model_copy(update={"confirmed": False})})
    ledger = Ledger(
        usd=5.0,
        entries=[entry("LabelImages", 1.0), entry("LabelImages", 1.5), entry("Prepare", 2.5, confirmed=False)],
    )
    rows = money(any_run(), estimate, ledger, None).by_step

    assert [(row.step, row.estimated is not None, row.spent, row.confirmed) for row in rows] == [
        ("LabelImages", True, 2.5, True),
        ("S3", True, None, False),
        ("Prepare", False, 2.5, False),
    ]


def test_break_even_of_the_report_is_that_of_the_measured_tokens_on_the_cheapest_tier() -> None:
    cost = ServingCost(latency_ms=None, input_tokens=1000, output_tokens=100, usd_per_1000=1.12)
    prices, ledger = figures(serving={"teacher": cost, "n12": cost}), Ledger(usd=5.0, entries=[])
    result = money(any_run(), any_estimate(), ledger, prices)
    saved = (1000 * (0.40 - 0.06) + 100 * (1.60 - 0.24)) / 1e6

    assert result.break_even is not None
    assert result.break_even_images == round(5.0 / saved)
    assert result.break_even.storage_images_per_month == ceil(1.95 / saved)
    assert "after about 10,504 images, and only above 4,097 images a month" in result.break_even.verdict
    rare = money(any_run(images_per_month=1000), any_estimate(), ledger, prices)
    assert rare.break_even_images is None
    assert rare.break_even is not None
    assert rare.break_even.verdict == "At 1,000 images a month the teacher on flex costs $0.56; do not distil."


@pytest.mark.parametrize("answerers", [(), ("teacher",), ("n12",)])
def test_report_without_the_price_of_teacher_or_student_has_no_break_even(answerers: tuple[str, ...]) -> None:
    known = {name: serving(1.0) for name in answerers}
    for costs in (known, known | {"teacher": serving(None), "n12": serving(1.0)}):
        result = money(any_run(), any_estimate(), Ledger(usd=5.0, entries=[]), figures(serving=costs))
        assert result.break_even is result.break_even_images is None


def test_shorter_prompt_of_the_student_saves_its_tokens_at_the_price_of_the_students_input() -> None:
    long, short = Prompt(system="s" * 2000, user="u" * 2000), Prompt(system="s", user="u" * 399)
    run = any_run().model_copy(update={"prompt": long, "student_prompt": short})
    saved = student_prompt(run)

    assert saved
    assert (saved.teacher_tokens, saved.student_tokens) == (1010, 110)
    assert saved.saved_usd_per_1000 == pytest.approx(1000 * 900 * 0.06 / 1e6)
    longer = student_prompt(run.model_copy(update={"prompt": short, "student_prompt": long}))
    assert longer
    assert longer.saved_usd_per_1000 == pytest.approx(-saved.saved_usd_per_1000)
    assert student_prompt(any_run()) is None
