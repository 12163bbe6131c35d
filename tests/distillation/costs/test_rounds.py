from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distillation.costs.rounds import cost_of_round, cost_to_first_verdict, planned_round, round_lines, tokens_by_model
from distillation.costs.tokens import RunTokens
from distillation.costs.workload import predict_workload
from distillation.documents import PlannedRound
from distillation.models.hyperparameters import job_hyperparameters
from tests.support.builders import any_run, bucket_after_split

LANDSCAPE = (900, 600)
PUBLISHED_BILL = {300: 2.1, 900: 7.5}
"""US dollars of training Nova Lite by number of photos, in 5 epochs."""
KEYWORDS = {"system": "s" * 300, "user": "u" * 463}
"""Prompt as long as ``samples/prompts/keywords.toml``."""


def plan(images: int = 100, **request: Any) -> list[PlannedRound]:
    run = any_run(**request)
    return [
        planned_round(run, work, RunTokens(run, {})) for work in predict_workload(run, [LANDSCAPE] * images, 0).rounds
    ]


@pytest.mark.parametrize("size", PUBLISHED_BILL)
@pytest.mark.parametrize("photo", [(900, 600), (900, 675), (900, 900), (600, 900)])
def test_expected_training_is_within_20_percent_of_the_published_bill(size: int, photo: tuple[int, int]) -> None:
    run = any_run(train_sizes=[size], hyperparameters={"epochCount": 5}).model_copy(
        update={"student_prompt": any_run(prompt=KEYWORDS).request.prompt}
    )
    work = predict_workload(run, [photo] * 1600, 0).rounds[-1]
    (line,) = [line for line in round_lines(run, work, RunTokens(run, {})) if line.step == "TrainModels"]
    record = (300 + 463) / 4 + 10 + photo[0] * photo[1] / 625 + 120

    assert line.usd.expected == pytest.approx(PUBLISHED_BILL[size], rel=0.2)
    # The bounds enclose the bill and the whole record by the rule.
    assert line.usd.low <= PUBLISHED_BILL[size] <= line.usd.high
    assert line.usd.low <= record * size * 5 * 2 / 1e6 <= line.usd.high


def test_plan_has_a_result_for_each_round() -> None:
    assert [planned.result for planned in plan(1600)] == [
        "Whether distilling is worth it.",
        "First verdict: a model trained on 300 images.",
        "A model trained on 1,080 images, if 0.01 more is expected.",
    ]
    (_, both) = plan(100, train_sizes=[20, 30, 40])
    assert both.result == "First verdict: models trained on 20, 30 and 40 images."
    assert [planned.result for planned in plan(until="LabelImages")] == ["Labels. No model is trained, as requested."]


def test_hours_of_a_job_are_those_of_the_two_published_jobs() -> None:
    hours = {}
    for size in PUBLISHED_BILL:
        run = any_run(train_sizes=[size], baseline=False).model_copy(
            update={"student_prompt": any_run(prompt=KEYWORDS).request.prompt}
        )
        (work,) = predict_workload(run, [LANDSCAPE] * 1600, 0).rounds
        # Without known quotas, answers take no time: 3 minutes of steps and 10 of deployment remain.
        hours[size] = planned_round(run, work, RunTokens(run, {})).hours

    assert hours[300].expected - 0.05 - 1 / 6 == pytest.approx(1.0, abs=0.02)
    assert hours[900].expected - 0.05 - 1 / 6 == pytest.approx(2.0, abs=0.02)
    assert all(bounds.low < bounds.expected < bounds.high for bounds in hours.values())


def test_baseline_round_takes_minutes_and_trains_nothing() -> None:
    baseline, training = plan()

    assert baseline.hours.expected < 0.5 < training.hours.expected
    assert (baseline.sizes, baseline.labels_to_ask) == ([], 25 + 8)
    assert baseline.usd.expected < 0.1 < training.usd.expected


def test_round_is_priced_after_split_as_before_it() -> None:
    run = any_run(train_sizes=[8, 12])
    data = bucket_after_split(run=run)
    first, _ = cost_of_round(run, 0, data)
    second, _ = cost_of_round(run, 1, data)

    assert (first.kind, second.kind) == ("baseline", "training")
    assert (first.labels_to_ask, second.labels_to_ask, second.sizes) == (16, 4, [8, 12])
    assert second.usd.low < second.usd.expected < second.usd.high


@pytest.mark.parametrize("until", ["Estimate", "LabelImages", "ValidateDataset"])
def test_run_started_again_without_until_is_priced_to_the_verdict_of_its_first_round_of_growth(until: Any) -> None:
    stopped, whole = any_run(until=until), any_run()
    usd = cost_to_first_verdict(stopped, bucket_after_split(train=1200, test=40, run=stopped))
    data = bucket_after_split(train=1200, test=40, run=whole)
    baseline, first = (cost_of_round(whole, number, data)[0] for number in (0, 1))

    assert (baseline.kind, first.sizes) == ("baseline", [300])
    assert usd.expected == pytest.approx(baseline.usd.expected + first.usd.expected)


def test_epochs_follow_from_the_records_of_each_size() -> None:
    run = any_run(train_sizes=[900, 1000, 5001])
    work = predict_workload(run, [LANDSCAPE] * 8000, 0).rounds[-1]
    lines = [line.what for line in round_lines(run, work, RunTokens(run, {})) if line.step == "TrainModels"]

    assert lines == [
        "Nova Lite, 900 images, 5 epochs",
        "Nova Lite, 1000 images, 2 epochs",
        "Nova Lite, 5001 images, 1 epoch",
    ]
    assert job_hyperparameters(run, 900)["epochCount"] == "5"


def test_examples_add_five_answers_to_the_question() -> None:
    run = any_run()
    baseline, _ = predict_workload(run, [LANDSCAPE] * 100, 0).rounds
    plain = [asked for asked in baseline.predictions if asked.answerer == "base"]
    only_base, both = (
        tokens_by_model(run, work, RunTokens(run, {}))[run.student]
        for work in (replace(baseline, predictions=plain), baseline)
    )

    assert both - 2 * only_base == pytest.approx(25 * 5 * 120)
