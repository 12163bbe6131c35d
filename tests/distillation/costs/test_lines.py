from __future__ import annotations

import pytest

from distillation.costs.lines import CostLine, exactly, format_usd, rounded, total
from distillation.documents import Bounds
from distillation.models.prices import price


def test_bounds_are_added_and_multiplied_bound_by_bound() -> None:
    assert Bounds(low=1, expected=2, high=3) + Bounds(low=1, expected=1, high=1).times(2) == Bounds(
        low=3, expected=4, high=5
    )
    assert Bounds(low=1, expected=2, high=3).times_bounds(Bounds(low=1, expected=2, high=3)) == Bounds(
        low=1, expected=4, high=9
    )


def test_bounds_of_a_document_are_rounded_to_nine_decimals() -> None:
    assert rounded(Bounds(low=0.1 + 0.2, expected=1 / 3, high=1)) == Bounds(low=0.3, expected=0.333333333, high=1)


def test_line_costs_its_quantity_times_its_price() -> None:
    row = price("s3", "writes")
    line = CostLine("S3", "writes", Bounds(low=0, expected=row.per, high=2 * row.per), row)

    assert line.usd == Bounds(low=0, expected=row.usd, high=2 * row.usd)
    assert total([line, line]) == Bounds(low=0, expected=2 * row.usd, high=4 * row.usd)
    assert total([]) == exactly(0)
    assert line.as_document().price == row.as_row()


@pytest.mark.parametrize(("usd", "text"), [(0.12345, "$0.1235"), (1, "$1.00"), (1234.5, "$1,234.50")])
def test_amounts_below_a_dollar_have_four_decimals(usd: float, text: str) -> None:
    assert format_usd(usd) == text
