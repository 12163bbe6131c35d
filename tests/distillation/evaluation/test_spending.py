from __future__ import annotations

from math import ceil
from typing import Any

import pytest

from distillation.documents import Curve, EvaluationFigures, Ledger, LedgerEntry, ServingCost, StepCost
from distillation.evaluation.spending import doubling, money, student_prompt
from distillation.records import Prompt, TrainedModel
from tests.support.builders import any_estimate, any_interval, any_report, any_run


def figures(**fields: Any) -> EvaluationFigures:
    report = any_report(models=[TrainedModel(size=12, status="Active", model_name="m")])
    assert report.evaluation is not None
    return report.evaluation.model_copy(update=fields)


def entry(step: str, usd: float, *, confirmed: bool = True) -> LedgerEntry:
    counts = ("calls", "throttled", "reused", "input_tokens", "output_tokens", "training_tokens")
    return LedgerEntry(step=step, model="m", tier="default", usd=usd, confirmed=confirmed, **dict.fromkeys(counts, 0))


def serving(usd_per_1000: float | None) -> ServingCost:
    return ServingCost(latency_ms=None, input_tokens=1, output_tokens=1, usd_per_1000=usd_per_1000)


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
