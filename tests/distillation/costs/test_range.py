from __future__ import annotations

import pytest

from distillation.costs.range import CostRange, Line, exactly, format_usd, total
from distillation.documents import Bounds
from distillation.models.prices import price


def test_ranges_are_added_and_multiplied_bound_by_bound() -> None:
    assert CostRange(1, 2, 3) + CostRange(1, 1, 1).times(2) == CostRange(3, 4, 5)
    assert CostRange(1, 2, 3).times_range(CostRange(1, 2, 3)) == CostRange(1, 4, 9)


def test_bounds_of_a_document_are_rounded_to_nine_decimals() -> None:
    assert CostRange(0.1 + 0.2, 1 / 3, 1).as_bounds() == Bounds(low=0.3, expected=0.333333333, high=1)


def test_line_costs_its_quantity_times_its_price() -> None:
    row = price("s3", "writes")
    line = Line("S3", "writes", CostRange(0, row.per, 2 * row.per), row)

    assert line.usd == CostRange(0, row.usd, 2 * row.usd)
    assert total([line, line]) == CostRange(0, 2 * row.usd, 4 * row.usd)
    assert total([]) == exactly(0)
    assert line.as_document().price == row.as_row()


@pytest.mark.parametrize(("usd", "text"), [(0.12345, "$0.1235"), (1, "$1.00"), (1234.5, "$1,234.50")])
def test_amounts_below_a_dollar_have_four_decimals(usd: float, text: str) -> None:
    assert format_usd(usd) == text
