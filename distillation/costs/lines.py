"""Lines of an estimate: a quantity with bounds, its price and what it costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distillation.documents import Bounds, EstimateLine
from distillation.models.prices import Price


@dataclass(frozen=True)
class CostLine:
    """One line of an estimate: what a step uses, how much of it, and its price."""

    step: str
    """State, or AWS service."""
    what: str
    """Item that is used, such as ``Nova Pro, input``."""
    quantity: Bounds
    """Quantity, in the unit of ``price``."""
    price: Price

    @property
    def usd(self) -> Bounds:
        """Cost in US dollars."""
        return self.quantity.times(self.price.usd / self.price.per)

    def as_document(self) -> EstimateLine:
        """Return the line for an estimate, with the row of prices.toml that it depends on."""
        return EstimateLine(
            step=self.step,
            what=self.what,
            quantity=rounded(self.quantity),
            usd=rounded(self.usd),
            price=self.price.as_row(),
        )


def exactly(value: float) -> Bounds:
    """Return the bounds of a value that is known."""
    return Bounds(low=value, expected=value, high=value)


def rounded(bounds: Bounds) -> Bounds:
    """Return bounds for a document, rounded to 9 decimals."""
    return Bounds(low=round(bounds.low, 9), expected=round(bounds.expected, 9), high=round(bounds.high, 9))


def total(lines: Iterable[CostLine]) -> Bounds:
    """Return the sum of lines in US dollars."""
    return sum((line.usd for line in lines), exactly(0))


def format_usd(value: float) -> str:
    """Return US dollars as text: with cents, and below one dollar with four decimals."""
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"
