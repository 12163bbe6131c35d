from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.costs import calibration
from distillation.costs.calibration import Calibration
from distillation.costs.estimate import compare_with_budget, estimate_run
from distillation.costs.lines import CostLine, exactly
from distillation.costs.workload import predict_workload
from distillation.documents import Bounds, Estimate
from distillation.errors import InvalidRequest, TooFewImages
from distillation.models import catalog
from distillation.models.prices import price
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
    run = any_run(train_sizes=[50], baseline=False)
    text = len((run.prompt.system + run.prompt.user).encode()) / 4 + 10
    question, answer = text + 900 * 600 / 625, 120
    by_step = estimated(run).by_step
    calls = 1.05

    # The teacher is asked on flex, at half of the standard price.
    assert by_step["LabelImages"].expected == pytest.approx(calls * 75 * (question * 0.4 + answer * 1.6) / 1e6)
    assert by_step["TrainModels"].expected == pytest.approx(50 * 5 * (text + 448 + answer) * 2 / 1e6)
    students = 25 * 2 * (question * 0.06 + answer * 0.24) / 1e6
    ceiling = calls * 25 * (question * 0.4 + answer * 1.6) / 1e6
    assert by_step["PredictTestImages"].expected == pytest.approx(students + ceiling)


def test_answers_about_validation_images_are_paid_for_by_tuned_models_only() -> None:
    run = any_run(train_sizes=[50, 100], baseline=False)
    question = len((run.prompt.system + run.prompt.user).encode()) / 4 + 10 + 900 * 600 / 625
    lines = estimated(run, 800).lines
    usd = sum(line.usd.expected for line in lines if line.step == "PredictTestImages" and "Nova Lite" in line.what)

    assert usd == pytest.approx((3 * 200 + 2 * 60) * (question * 0.06 + 120 * 0.24) / 1e6, abs=2e-6)


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
    assert labels.break_even is labels.provisioned is None
    baseline = estimated(any_run(until="Baseline"))
    assert set(baseline.by_step) >= {"LabelImages", "PredictTestImages"}
    assert "TrainModels" not in baseline.by_step
    assert {line.round for line in baseline.lines} == {0}


@pytest.mark.parametrize("until", ["Estimate", "Baseline"])
def test_run_that_stops_early_has_the_plan_of_a_run_that_continues(until: str) -> None:
    stopped, whole = estimated(any_run(until=until)), estimated(any_run())

    assert stopped.plan == whole.plan
    assert stopped.break_even == whole.break_even
    assert stopped.usd < whole.usd / 2
    assert estimated(any_run(until="Estimate")).usd < 0.05


@pytest.mark.parametrize("until", ["LabelImages", "ValidateDataset"])
def test_run_that_stops_after_its_labels_has_no_later_round_in_its_plan(until: str) -> None:
    estimate = estimated(any_run(until=until, grow=True), images=2000)

    assert [planned.labels_to_ask for planned in estimate.plan] == [estimate.labels_to_ask]
    assert estimate.plan[0].usd.expected == pytest.approx(estimate.usd)


def test_estimate_is_the_cost_up_to_the_first_verdict_and_the_plan_has_the_later_rounds() -> None:
    estimate = estimated(any_run(max_usd=25), 1600)

    assert [planned.sizes for planned in estimate.plan] == [[], [300], [1080]]
    assert estimate.sizes == [300]
    assert estimate.usd == pytest.approx(sum(planned.usd.expected for planned in estimate.plan[:2]), abs=1e-5)
    assert {line.round for line in estimate.lines} == {0, 1}


def test_later_round_keeps_the_figures_of_earlier_ones_and_a_retry_changes_nothing() -> None:
    run = any_run(max_usd=100)
    work = predict_workload(run, [LANDSCAPE] * 1600, 0)
    first = estimate_run(run, work, {}, TODAY)
    training = estimate_run(run, replace(work, rounds=work.rounds[1:]), {}, TODAY, first)
    grown = estimate_run(run, replace(work, rounds=work.rounds[2:]), {}, TODAY, training)

    assert (training.lines, training.plan, training.usd) == (first.lines, first.plan, first.usd)
    assert [line for line in grown.lines if line.round < 2] == first.lines
    assert {line.round for line in grown.lines} == {0, 1, 2}
    assert (grown.plan, grown.sizes) == (first.plan, [300, 1080])
    assert grown.usd == pytest.approx(sum(planned.usd.expected for planned in first.plan), abs=1e-5)
    assert estimate_run(run, replace(work, rounds=work.rounds[2:]), {}, TODAY, grown) == grown


def test_training_size_without_enough_images_is_a_warning() -> None:
    estimate = estimated(any_run(train_sizes=[20, 300, 400]), 100)

    assert estimate.sizes == [20, 75]
    assert [warning for warning in estimate.warnings if "train_sizes" in warning] == [
        f"train_sizes: {size} is reduced to 75, because the run has no more images to train on." for size in (300, 400)
    ]
    assert not any("train_sizes" in warning for warning in estimated(any_run(train_sizes=[20]), 100).warnings)


def test_estimate_without_an_earlier_one_has_the_rounds_that_remain() -> None:
    run = any_run()
    work = predict_workload(run, [LANDSCAPE] * 1600, 0)
    estimate = estimate_run(run, replace(work, rounds=work.rounds[2:]), {}, TODAY)

    assert [planned.number for planned in estimate.plan] == [2]
    assert {line.round for line in estimate.lines} == {2}


def test_round_is_within_the_budget_with_what_is_paid_and_not_with_what_was_estimated() -> None:
    run = any_run()
    work = predict_workload(run, [LANDSCAPE] * 1600, 0)
    earlier = estimate_run(run, work, {}, TODAY)
    usd, later = earlier.plan[2].usd.expected, replace(work, rounds=work.rounds[2:])

    def within(max_usd: float) -> Estimate:
        limited = any_run(max_usd=max_usd)
        return estimate_run(limited, later, {}, TODAY, earlier, paid=0.5)

    assert within(usd + 0.51).within_budget
    assert "in addition to $0.5000 paid so far" in within(usd + 0.51).verdict
    assert not within(usd + 0.49).within_budget


def test_budget_is_compared_with_the_expected_cost_and_the_verdict_warns_of_the_upper_bound() -> None:
    usd = estimated(any_run()).range
    within = estimated(any_run(max_usd=usd.expected + 0.001))
    over = estimated(any_run(max_usd=usd.expected - 0.001))

    assert within.within_budget
    assert "The run stops before it spends more" in within.verdict
    assert not over.within_budget
    assert "Raise max_usd" in over.verdict


def test_calibration_replaces_the_rule_and_is_named() -> None:
    run = any_run(baseline=False)
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


def test_provisioned_throughput_is_priced_for_each_model() -> None:
    estimate = estimated(any_run(train_sizes=[20, 40]))

    assert estimate.provisioned is not None
    assert estimate.provisioned.usd.expected == pytest.approx(2 * 60.50)
    assert estimated(any_run(until="Baseline")).provisioned is None


def test_flex_tier_halves_the_cost_of_the_teacher_but_not_of_the_student() -> None:
    def usd(estimate: Estimate, step: str, what: str) -> float:
        return sum(line.usd.expected for line in estimate.lines if (line.step, line.what) == (step, what))

    standard, flex = estimated(any_run(service_tier="default")), estimated(any_run(service_tier="flex"))

    for step in ("LabelImages", "PredictTestImages"):
        assert usd(flex, step, "Nova Pro, input") == pytest.approx(usd(standard, step, "Nova Pro, input") / 2)
    assert usd(flex, "PredictTestImages", "Nova Lite, input") == usd(standard, "PredictTestImages", "Nova Lite, input")


def test_automatic_tier_is_expected_on_flex_with_the_standard_tier_as_high_bound() -> None:
    auto, flex, standard = (
        estimated(any_run(service_tier=tier)).by_step["LabelImages"] for tier in ("auto", "flex", "default")
    )

    assert auto.expected == flex.expected
    assert auto.high == pytest.approx(standard.high)
    assert any("asked on flex" in source for source in estimated(any_run()).range_from)
    assert not any("asked on flex" in source for source in estimated(any_run(service_tier="flex")).range_from)


def test_break_even_is_where_the_teacher_on_its_cheapest_tier_would_have_cost_as_much() -> None:
    run = any_run(service_tier="default", baseline=False)
    estimate = estimated(run)
    text = len((run.prompt.system + run.prompt.user).encode()) / 4 + 10
    question = text + 900 * 600 / 625
    teacher = 1.05 * (question * 0.4 + 120 * 1.6) / 1000
    student = (question * 0.06 + 120 * 0.24) / 1000

    assert estimate.break_even is not None
    assert estimate.break_even.teacher_usd_per_1000 == pytest.approx(teacher, abs=1e-6)
    assert estimate.break_even.student_usd_per_1000 == pytest.approx(student, abs=1e-6)
    assert estimate.break_even.images is not None
    assert estimate.break_even.images.expected == pytest.approx(estimate.usd / (teacher - student) * 1000, rel=1e-4)


def test_thousand_images_a_month_are_not_worth_a_model() -> None:
    prompt = {"system": "s" * 300, "user": "u" * 463}  # As long as samples/prompts/keywords.toml.
    run = any_run(images_per_month=1000).model_copy(update={"prompt": any_run(prompt=prompt).request.prompt})
    estimate = estimated(run)

    assert estimate.break_even is not None
    assert estimate.break_even.verdict == "At 1,000 images a month the teacher on flex costs $0.65; do not distil."


def test_run_that_split_would_refuse_is_not_estimated() -> None:
    with pytest.raises(TooFewImages, match="19 usable images"):
        estimated(any_run(), images=19)
    with pytest.raises(InvalidRequest, match="train_sizes: 4 images give fewer than the 8 records"):
        estimated(any_run(train_sizes=[4]))


def test_budget_includes_what_is_paid() -> None:
    line = CostLine("LabelImages", "input", exactly(1e6), price(PRO, "input"))

    assert compare_with_budget(any_run(max_usd=1), [line], [], paid=0.2).within_budget
    assert not compare_with_budget(any_run(max_usd=1), [line], [], paid=0.21).within_budget
