from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.costs import calibration
from distillation.costs.calibration import Calibration
from distillation.costs.estimate import estimate_apply, estimate_run
from distillation.costs.workload import predict_workload
from distillation.documents import Bounds, Estimate
from distillation.errors import InvalidRequest, TooFewImages
from distillation.models import catalog
from distillation.records import Dimensions, Run, Usage
from distillation.statistical_power import minimum_detectable_difference
from tests.support.builders import any_run

TODAY = datetime.date(2026, 9, 1)
PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
LANDSCAPE = (900, 600)


def estimated(run: Run, images: int = 100, teacher: Calibration | None = None) -> Estimate:
    return estimate_run(run, predict_workload(run, [LANDSCAPE] * images, 0), {PRO: teacher} if teacher else {}, TODAY)


def with_teacher(model: str) -> Run:
    run = any_run()
    return run.model_copy(update={"teacher": run.teacher.model_copy(update={"model": model})})


def test_costs_are_tokens_times_prices() -> None:
    run = any_run(train_sizes=[50])
    text = len((run.prompt.system + run.prompt.user).encode()) / 4 + 10
    question, answer = text + 900 * 600 / 625, 120
    by_step = estimated(run).by_step
    calls = 1.05

    assert by_step["LabelImages"].expected == pytest.approx(calls * 75 * (question * 0.8 + answer * 3.2) / 1e6)
    assert by_step["TrainModels"].expected == pytest.approx(50 * 2 * (question + answer) * 2 / 1e6)
    students = 25 * 2 * (question * 0.06 + answer * 0.24) / 1e6
    ceiling = calls * 25 * (question * 0.8 + answer * 3.2) / 1e6
    assert by_step["PredictTestImages"].expected == pytest.approx(students + ceiling)


def test_answers_about_validation_images_are_paid_for_by_tuned_models_only() -> None:
    run = any_run(train_sizes=[50, 100])
    work = predict_workload(run, [LANDSCAPE] * 800, 0)
    chosen, without = (estimate_run(run, change, {}, TODAY) for change in (work, replace(work, validation=[])))
    question = len((run.prompt.system + run.prompt.user).encode()) / 4 + 10 + 900 * 600 / 625

    assert len(work.validation) == 60
    difference = chosen.by_step["PredictTestImages"].expected - without.by_step["PredictTestImages"].expected
    assert difference == pytest.approx(60 * 2 * (question * 0.06 + 120 * 0.24) / 1e6, abs=2e-6)


def test_minimum_detectable_gain_uses_the_standard_deviation_of_the_last_run() -> None:
    run = any_run()
    work = predict_workload(run, [LANDSCAPE] * 100, 0)
    answers = [(LANDSCAPE, Usage(input_tokens=1000, output_tokens=60))]
    measured = calibration.measure(LITE, "holiday-0", "labeler", run.prompt, answers)
    assert measured is not None
    assumed, known = (
        estimate_run(run, work, {LITE: measured.model_copy(update={"gain_sd": sd})}, TODAY) for sd in (None, 0.3)
    )

    assert (assumed.gain_sd, assumed.detectable) == (None, minimum_detectable_difference(25))
    assert (known.gain_sd, known.detectable) == (0.3, minimum_detectable_difference(25, 0.3))


@given(
    sizes=st.lists(st.tuples(st.integers(25, 900), st.integers(25, 900)), min_size=40, max_size=60),
    epochs=st.integers(1, 5),
)
def test_bounds_enclose_the_expected_cost_and_more_work_costs_more(sizes: list[Dimensions], epochs: int) -> None:
    run = any_run(hyperparameters={"epochCount": epochs})
    estimate = estimate_run(run, predict_workload(run, sizes, 0), {}, TODAY)
    more = estimate_run(run, predict_workload(run, sizes * 2, 0), {}, TODAY)

    for cost in [estimate.range, *estimate.by_step.values()]:
        assert 0 <= cost.low <= cost.expected <= cost.high
    assert more.usd > estimate.usd
    assert estimate.usd == pytest.approx(sum(step.expected for step in estimate.by_step.values()), abs=1e-5)


def test_run_that_stops_early_is_not_charged_for_later_steps() -> None:
    labels = estimated(any_run(until="LabelImages"))
    assert "TrainModels" not in labels.by_step
    assert labels.break_even_images is labels.provisioned is None
    assert estimated(any_run(until="Estimate")).usd < 0.05


def test_budget_is_compared_with_the_expected_cost_and_the_verdict_warns_of_the_upper_bound() -> None:
    usd = estimated(any_run()).range
    within = estimated(any_run(max_usd=usd.expected + 0.001))
    over = estimated(any_run(max_usd=usd.expected - 0.001))

    assert within.within_budget
    assert "The run stops before it spends more" in within.verdict
    assert not over.within_budget
    assert "Raise max_usd" in over.verdict


def test_calibration_replaces_the_rule_and_is_named() -> None:
    run = any_run()
    rule = catalog.get_family("nova-v1").image_tokens(*LANDSCAPE)
    billed = round(calibration.text_tokens(run.prompt) + 1.5 * rule)
    answers = [(LANDSCAPE, Usage(input_tokens=billed, output_tokens=60))] * 10
    measured = calibration.measure(PRO, "holiday-0", "labeler", run.prompt, answers)
    assert measured is not None

    before, after = estimated(run), estimated(run, teacher=measured)

    def tokens(estimate: Estimate, what: str) -> Bounds:
        return next(line.quantity for line in estimate.lines if line.what == what)

    assert tokens(after, "Nova Pro, input").expected == pytest.approx(1.05 * 100 * billed, rel=0.01)
    assert tokens(after, "Nova Pro, output").expected == pytest.approx(1.05 * 100 * 60)
    assert tokens(after, "Nova Pro, output").high < tokens(before, "Nova Pro, output").high
    assert "1.50 times the family's rule ± 10%, measured on 10 answers of run holiday-0" in after.range_from[0]
    # Another prompt or temperature is another labeler, whose answers may have any length.
    other = estimated(run, teacher=measured.model_copy(update={"labeler": "other"}))
    assert tokens(other, "Nova Pro, output").expected == pytest.approx(1.05 * 100 * 120)


def test_steps_with_an_unconfirmed_price_are_marked() -> None:
    estimate = estimated(any_run())

    assert not estimate.by_step["TrainModels"].confirmed
    assert estimate.by_step["LabelImages"].confirmed
    assert "amazon.nova-lite-v1:0 training" in estimate.warnings[0]


def test_flex_tier_and_provisioned_throughput_are_priced_if_they_have_a_price() -> None:
    estimate = estimated(any_run(train_sizes=[20, 40]))

    saved = estimate.by_step["LabelImages"].expected / 2
    ceiling = [line for line in estimate.lines if line.step == "PredictTestImages" and "Nova Pro" in line.what]
    saved += sum(line.usd.expected for line in ceiling) / 2
    assert estimate.flex is not None
    assert estimate.flex.usd == pytest.approx(estimate.usd - saved, abs=1e-5)
    assert estimated(any_run(train_sizes=[20, 40], service_tier="flex")).usd == estimate.flex.usd
    assert estimate.provisioned is not None
    assert estimate.provisioned.usd.expected == pytest.approx(2 * 60.50)
    assert estimated(with_teacher(LITE)).flex is None


def test_flex_tier_halves_the_cost_of_the_teacher_but_not_of_the_student() -> None:
    def usd(estimate: Estimate, step: str, what: str) -> float:
        return sum(line.usd.expected for line in estimate.lines if (line.step, line.what) == (step, what))

    standard, flex = estimated(any_run()), estimated(any_run(service_tier="flex"))

    for step in ("LabelImages", "PredictTestImages"):
        assert usd(flex, step, "Nova Pro, input") == pytest.approx(usd(standard, step, "Nova Pro, input") / 2)
    assert usd(flex, "PredictTestImages", "Nova Lite, input") == usd(standard, "PredictTestImages", "Nova Lite, input")
    assert flex.flex is None


def test_break_even_is_where_the_teacher_would_have_cost_as_much() -> None:
    estimate = estimated(any_run())
    teacher = estimate.by_step["LabelImages"].expected / 1.05 / 100

    assert estimate.break_even_images is not None
    assert estimate.break_even_images.expected == pytest.approx(estimate.usd / (teacher * (1 - 0.06 / 0.8)), rel=0.01)
    assert estimated(with_teacher(LITE)).break_even_images is None


def test_run_that_split_would_refuse_is_not_estimated() -> None:
    with pytest.raises(TooFewImages, match="19 usable images"):
        estimated(any_run(), images=19)
    with pytest.raises(InvalidRequest, match="train_sizes: 4 images give fewer than the 8 records"):
        estimated(any_run(train_sizes=[4]))


def test_estimate_of_an_existing_model_prices_its_answers_alone() -> None:
    run = any_run(max_usd=0.001)
    estimate = estimate_apply(run, [LANDSCAPE] * 100, None)
    question = len((run.prompt.system + run.prompt.user).encode()) / 4 + 10 + 900 * 600 / 625

    assert estimate.usd == pytest.approx(100 * (question * 0.06 + 120 * 0.24) / 1e6, abs=1e-6)
    assert not estimate.within_budget
