from __future__ import annotations

import pytest

from distillation.costs.break_even import break_even
from distillation.costs.lines import exactly
from distillation.documents import Bounds, BreakEven
from tests.support.builders import any_run

USD = Bounds(low=3.0, expected=6.0, high=12.0)


def compared(volume: int | None, teacher: float = 0.65, student: float = 0.09, usd: Bounds = USD) -> BreakEven:
    return break_even(any_run(images_per_month=volume), teacher, student, usd)


def test_teacher_that_costs_less_than_the_storage_is_recommended() -> None:
    result = compared(1000)

    assert result.verdict == "At 1,000 images a month the teacher on flex costs $0.65; do not distil."
    assert result.months is None
    assert result.storage_usd_per_month == 1.95


def test_volume_that_saves_more_than_the_storage_pays_the_run_back_in_months() -> None:
    result = compared(100_000)
    saved = 100 * (0.65 - 0.09) - 1.95

    assert result.months is not None
    assert result.months.expected == pytest.approx(6.0 / saved)
    assert result.verdict == (
        "At 100,000 images a month the teacher on flex costs $65.00 and the tuned model $10.95, storage included; "
        "the run has paid for itself after about 0.1 months (0.1 to 0.2)."
    )


def test_volume_that_pays_the_run_back_in_a_day_has_no_range_of_zeros() -> None:
    assert compared(1_000_000).verdict.endswith("; the run has paid for itself after less than 0.1 months.")


def test_without_a_volume_the_break_even_is_in_images_and_the_storage_has_a_monthly_volume() -> None:
    result = compared(None)

    assert result.images is not None
    assert result.images.expected == pytest.approx(6.0 / 0.56 * 1000)
    assert result.storage_images_per_month == 3483  # 1.95 / 0.00056, rounded up
    assert result.months is None
    assert result.verdict == (
        "Break-even against the teacher on flex: after about 10,714 images (5,357 to 21,429), and only above 3,483 "
        "images a month, which the storage of the tuned model alone requires ($1.95 a month)."
    )


@pytest.mark.parametrize(("volume", "cost"), [(0, "0 images a month the teacher on flex costs $0.00"), (1, "1 image")])
def test_volume_of_no_or_one_image_is_an_answer_and_no_error(volume: int, cost: str) -> None:
    result = compared(volume)

    assert (result.images_per_month, result.months) == (volume, None)
    assert result.verdict.startswith(f"At {cost}")
    assert result.verdict.endswith("do not distil.")


@pytest.mark.parametrize("volume", [None, 0, 1_000_000])
@pytest.mark.parametrize("student", [0.65, 1.0])
def test_student_that_is_not_cheaper_never_pays(volume: int | None, student: float) -> None:
    result = compared(volume, student=student)

    assert result.images is result.months is result.storage_images_per_month is None
    assert "no more than the tuned model" in result.verdict
    assert "do not distil" in result.verdict


def test_volume_exactly_at_the_storage_does_not_pay_and_does_not_divide_by_zero() -> None:
    assert compared(1000, teacher=1.95, student=0.0).months is None


def test_exact_cost_has_no_range_in_the_sentence() -> None:
    assert "after about 10,714 images, and only above" in compared(None, usd=exactly(6.0)).verdict


def test_teacher_without_flex_is_named_without_a_tier() -> None:
    run = any_run(images_per_month=1000)
    run = run.model_copy(update={"teacher": run.teacher.model_copy(update={"model": "amazon.nova-lite-v1:0"})})

    assert break_even(run, 0.65, 0.09, USD).verdict == (
        "At 1,000 images a month the teacher costs $0.65; do not distil."
    )
