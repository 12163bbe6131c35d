from __future__ import annotations

import pytest

from distillation.costs.lines import CostLine, exactly, format_cents, format_usd, merged, rounded, total
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
    assert (line.as_document(2).round, line.as_document(2).price) == (2, row.as_row())


def test_high_bound_has_the_price_of_the_dearer_tier() -> None:
    flex, standard = (price("amazon.nova-pro-v1:0", use) for use in ("input-flex", "input"))
    line = CostLine("LabelImages", "input", exactly(1e6), flex, standard)

    assert (line.usd.low, line.usd.expected, line.usd.high) == pytest.approx((0.4, 0.4, 0.8))


def test_lines_of_the_same_item_and_price_are_added_up() -> None:
    writes, reads = (CostLine("S3", use, exactly(5), price("s3", use)) for use in ("writes", "reads"))
    lines = merged([writes, reads, writes])

    assert [(line.what, line.quantity.expected) for line in lines] == [("writes", 10), ("reads", 5)]
    assert total(lines) == total([writes, reads, writes])


@pytest.mark.parametrize(
    ("usd", "text"), [(0, "$0.00"), (0.004, "less than $0.01"), (0.65, "$0.65"), (1234, "$1,234.00")]
)
def test_cents_have_two_decimals(usd: float, text: str) -> None:
    assert format_cents(usd) == text


@pytest.mark.parametrize(("usd", "text"), [(0.12345, "$0.1235"), (1, "$1.00"), (1234.5, "$1,234.50")])
def test_amounts_below_a_dollar_have_four_decimals(usd: float, text: str) -> None:
    assert format_usd(usd) == text
