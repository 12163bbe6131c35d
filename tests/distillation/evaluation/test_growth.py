"""Decisions of a run with ``grow``, and what Evaluate writes in each of its rounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distillation import keys, ledger
from distillation.costs.daily_quota import check_daily_quotas
from distillation.documents import Bounds, DailyQuotaUse, GrownRound, Growth, Interval, Report, Rounds
from distillation.errors import QuotaExceeded
from distillation.evaluation import intervals
from distillation.evaluation.growth import Expectation, NextRound, decide_growth, expectation
from distillation.evaluation.report import write_report
from distillation.events import EvaluateResult
from distillation.records import LedgerPart, Quota, Request, TrainedModel
from distillation.storage import Bucket
from tests.distillation.evaluation.finished_run import IMAGES, TEST, TRAIN, answer_line, finished_run
from tests.support.builders import any_run, any_split_facts

SMALL, LARGE = 8, TRAIN
"""Training sizes of a run that grows from 8 to its 12 training images."""


def interval(mean: float, spread: float = 0.005) -> Interval:
    return Interval(mean=mean, ci95=(mean - spread, mean + spread))


def rounds(*sizes: int, trained: bool = True) -> list[GrownRound]:
    """Return rounds of these sizes; the last one only if ``trained`` has a model."""
    scores = [interval(0.5)] * (len(sizes) - 1) + [interval(0.5) if trained else None]
    return [
        GrownRound(size=size, labels=size, usd=1.0, agreement=score) for size, score in zip(sizes, scores, strict=True)
    ]


def following(high: float = 4.0, paid: float = 1.0) -> NextRound:
    return NextRound(900, Bounds(low=1, expected=2, high=high), paid)


FLAT, STEEP = Expectation(interval(0.009), None), Expectation(interval(0.011), None)


@pytest.mark.parametrize(
    ("expected", "next_round", "stopped", "words"),
    [
        (FLAT, following(), "flat", "900 images are expected to change agreement by +0.009 (95 % CI +0.004 to +0.014)"),
        (STEEP, following(), None, "The run continues for about $2.00: 900 images are expected"),
        (STEEP, following(high=24.0), None, "The run continues"),
        (
            STEEP,
            following(high=24.1),
            "budget",
            "may cost $24.10, and $24.00 of max_usd $25.00 are left. Raise max_usd",
        ),
        (FLAT, following(high=99), "flat", "less than grow_until"),
        (None, None, "all images", "all 300 training images are used"),
        (Expectation(None, None), following(), None, "One size shows no trend, so the run trains on 900 images next"),
        (Expectation(None, None), following(high=99), "budget", "of max_usd $25.00 are left"),
        (Expectation(None, interval(0.004)), following(), "flat", "at most 0.009 below the teacher's agreement"),
        (Expectation(None, interval(0.006)), following(), None, "One size shows no trend"),
        (Expectation(interval(0.5), interval(-0.1)), following(), "flat", "at most 0.000 below"),
    ],
)
def test_growth_stops_for_a_named_reason(
    expected: Expectation | None, next_round: NextRound | None, stopped: str | None, words: str
) -> None:
    growth = decide_growth(Request(), rounds(100, 300), expected, next_round)

    assert growth.stopped == stopped
    assert words in growth.reason
    assert growth.next_usd == (next_round.usd if next_round else None)
    assert growth.next_gain == (expected.gain if expected else None)


def test_growth_stops_if_estimate_would_refuse_the_next_round_for_its_daily_quota() -> None:
    model = any_run().teacher.model
    uses = [DailyQuotaUse(model=model, tokens=61, tokens_per_day=10, days=6.1)]
    growth = decide_growth(Request(), rounds(100, 300), STEEP, replace(following(), daily_quotas=uses))

    assert growth.stopped == "quota"
    assert "Growth stopped at 300 images: training on 900 needs 6.1 days of the account's tokens" in growth.reason
    assert "Or have the quota raised" in growth.reason
    with pytest.raises(QuotaExceeded):
        check_daily_quotas(uses)


def test_growth_stops_if_the_newest_size_was_not_trained() -> None:
    growth = decide_growth(Request(), rounds(100, 300, trained=False), STEEP, following())

    assert (growth.stopped, growth.reason) == ("failed", "Growth stopped: the model of 300 images was not trained.")


def test_smaller_grow_until_lets_a_run_continue() -> None:
    assert decide_growth(Request(grow_until=0.008), rounds(300), FLAT, following()).stopped is None


def test_expected_gain_continues_the_scores_of_two_sizes_and_one_size_has_none() -> None:
    scores = {"n100": [0.3, 0.4], "n300": [0.5, 0.6], "ceiling": [0.7, 0.8]}
    resampled = intervals.resample(scores, ["a", "b"])
    one, two = (expectation(sizes, 900, resampled, resampled) for sizes in ([100], [100, 300]))

    assert one.gain is None
    assert two.gain is not None
    assert 0.1 < two.gain.mean < 0.2
    assert two.gap is not None
    assert two.gap.mean == pytest.approx(0.2)
    without = intervals.resample({name: scores[name] for name in ("n100", "n300")}, ["a", "b"])
    assert expectation([100], 900, without, without).gap is None


def growing_run(**request: Any) -> tuple[Any, Bucket]:
    """Return a run that grows from 8 to 12 training images, in two rounds without a baseline, and its bucket."""
    run = any_run(grow=True, grow_from=SMALL, baseline=False, **request)
    data = finished_run(run)
    facts = any_split_facts(images=len(IMAGES), train=TRAIN, test=TEST)
    data.write_document(keys.split_facts_key(run.name), facts)
    return run, data


def evaluate_round(run: Any, data: Bucket, number: int, *models: TrainedModel) -> tuple[EvaluateResult, Report]:
    result = write_report(run, number, list(models), data, "abc")
    return result, data.read_document(keys.report_json_key(run.name), Report)


def model(size: int, status: str = "Active") -> TrainedModel:
    return TrainedModel.model_validate({"size": size, "status": status, "model_name": f"holiday-1-n{size}-a1"})


def answer(data: Bucket, size: int, text: str = "cat, sofa, thing {0}") -> None:
    """Write answers of the model of a size about the test images."""
    lines = [answer_line(number, f"n{size}", text.format(number)) for number in range(TRAIN, TRAIN + TEST)]
    data.write_lines(
        keys.part_key("holiday-1", "predict", f"n{size}"), [line.model_dump(exclude_none=True) for line in lines]
    )


def spend(data: Bucket, usd: float, id: str) -> None:
    part = LedgerPart(
        step="TrainModels", model=any_run().student, calls=1, reused=0, input_tokens=0, output_tokens=0, usd=usd
    )
    ledger.write_part("holiday-1", part, id, data)


def bills(growth: Growth | None) -> list[tuple[int, int, float | None]]:
    assert growth is not None
    return [(round_.size, round_.labels, round_.usd) for round_ in growth.rounds]


def test_run_that_grows_reports_each_round_with_its_own_bill() -> None:
    run, data = growing_run()
    sizes = [round_.sizes for round_ in data.read_document(keys.rounds_key(run.name), Rounds).rounds]
    assert sizes == [[SMALL], [SMALL, LARGE]]
    answer(data, SMALL, "cat, sea, thing {0}")
    result, first = evaluate_round(run, data, 0, model(SMALL))

    assert result.grow
    assert first.growth is not None
    assert (first.growth.stopped, first.growth.next_size, first.is_final) == (None, LARGE, False)
    assert bills(first.growth) == [(SMALL, TEST + SMALL, 0.5)]

    answer(data, LARGE)
    spend(data, 2.0, "job")
    once, again = (evaluate_round(run, data, 1, model(SMALL), model(LARGE)) for _ in range(2))
    assert once == again  # The second call is a retry of Evaluate.
    result, last = again
    assert bills(last.growth) == [(SMALL, TEST + SMALL, 0.5), (LARGE, LARGE - SMALL, 2.0)]
    assert not result.grow
    assert last.growth is not None
    assert (last.growth.stopped, last.is_final) == ("all images", True)
    assert "Growth ended: all 12 training images are used." in last.verdict
    page = data.read(result.report_key).decode()
    assert "<h2>Growth</h2>" in page
    assert "Growth ended: all 12 training images are used." in page


def test_report_of_a_round_before_the_last_promotes_nothing_and_says_that_the_run_continues() -> None:
    run, data = growing_run()
    answer(data, SMALL)
    result, report = evaluate_round(run, data, 0, model(SMALL))

    assert result.promoted is report.promoted is None
    assert report.evaluation is not None
    assert report.evaluation.gate is not None
    assert report.evaluation.gate.passed
    assert "The student passes the gate. One size shows no trend" in report.verdict
    assert "promoted" not in report.verdict
    assert report.status == "growing: trained on 8 images so far"
    assert report.recommendation is None


def test_run_whose_next_round_is_too_expensive_ends_with_the_model_that_it_has() -> None:
    run, data = growing_run(max_usd=0.5)
    answer(data, SMALL)
    result, report = evaluate_round(run, data, 0, model(SMALL))

    assert not result.grow
    assert report.growth is not None
    assert report.growth.stopped == "budget"
    assert report.recommendation is not None
    assert report.recommendation.action == "grow"
    assert result.promoted == "holiday-1-n8-a1"


def test_run_that_must_not_wait_for_the_tokens_of_its_next_round_ends_with_the_model_that_it_has() -> None:
    run, data = growing_run()
    run = run.model_copy(update={"quotas": {run.teacher.model: Quota(tokens_per_day=100)}})
    answer(data, SMALL)
    result, report = evaluate_round(run, data, 0, model(SMALL))

    assert report.growth is not None
    assert (report.growth.stopped, result.grow) == ("quota", False)
    assert report.recommendation is not None
    assert report.recommendation.action == "grow"
    assert "once the daily quota allows it" in report.recommendation.text
    assert result.promoted == "holiday-1-n8-a1"


def test_run_whose_second_size_failed_ends_with_the_first_one() -> None:
    run, data = growing_run()
    answer(data, SMALL)
    evaluate_round(run, data, 0, model(SMALL))
    spend(data, 1.0, "job")
    result, report = evaluate_round(run, data, 1, model(SMALL), model(LARGE, "Failed"))

    assert report.growth is not None
    assert report.growth.stopped == "failed"
    assert [round_.agreement is None for round_ in report.growth.rounds] == [False, True]
    assert result.promoted == "holiday-1-n8-a1"


@pytest.mark.parametrize("is_deleted", [False, True])
def test_bill_of_an_earlier_round_is_unknown_if_its_report_is_lost(is_deleted: bool) -> None:
    run, data = growing_run()
    answer(data, SMALL)
    _, first = evaluate_round(run, data, 0, model(SMALL))
    data.write(keys.report_json_key(run.name), b"{}")
    if is_deleted:
        data.client.objects.pop(keys.report_json_key(run.name))  # type: ignore[attr-defined] - MemoryS3
    answer(data, LARGE)
    _, report = evaluate_round(run, data, 1, model(SMALL), model(LARGE))

    assert [usd for _, _, usd in bills(report.growth)] == [None, None]
    assert any("The cost of each earlier round is left out: " in note for note in report.notes)
    assert first.notes == []


def test_run_without_grow_has_no_growth() -> None:
    run = any_run(baseline=False)
    data = finished_run(run)
    result, report = evaluate_round(run, data, 0, model(TRAIN))

    assert report.growth is None
    assert report.is_final
    assert not result.grow
    assert "<h2>Growth</h2>" not in data.read(result.report_key).decode()
    assert len(IMAGES) == report.images
