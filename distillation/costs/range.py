"""Quantities and costs with an expected value and bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distillation.documents import Bounds, EstimateLine
from distillation.models.prices import Price


@dataclass(frozen=True)
class CostRange:
    """An expected quantity or cost between two bounds."""

    low: float
    """Lower bound."""
    expected: float
    """Expected value."""
    high: float
    """Upper bound."""

    def __add__(self, other: CostRange) -> CostRange:
        return CostRange(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> CostRange:
        """Return the range multiplied by a known factor."""
        return CostRange(self.low * factor, self.expected * factor, self.high * factor)

    def times_range(self, factor: CostRange) -> CostRange:
        """Return the range multiplied by a factor that has bounds itself."""
        return CostRange(self.low * factor.low, self.expected * factor.expected, self.high * factor.high)

    def as_bounds(self) -> Bounds:
        """Return the range for a document, rounded to 9 decimals."""
        return Bounds(**{name: round(value, 9) for name, value in self.__dict__.items()})


def exactly(value: float) -> CostRange:
    """Return the range of a value that is known."""
    return CostRange(value, value, value)


@dataclass(frozen=True)
class Line:
    """One line of an estimate: what a step uses, how much of it, and its price."""

    step: str
    """State, or AWS service."""
    what: str
    """Item that is used, such as ``Nova Pro, input``."""
    quantity: CostRange
    """Quantity, in the unit of ``price``."""
    price: Price

    @property
    def usd(self) -> CostRange:
        """Cost in US dollars."""
        return self.quantity.times(self.price.usd / self.price.per)

    def as_document(self) -> EstimateLine:
        """Return the line for an estimate, with the row of prices.toml that it depends on."""
        return EstimateLine(
            step=self.step,
            what=self.what,
            quantity=self.quantity.as_bounds(),
            usd=self.usd.as_bounds(),
            price=self.price.as_row(),
        )


def total(lines: Iterable[Line]) -> CostRange:
    """Return the sum of lines in US dollars."""
    return sum((line.usd for line in lines), exactly(0.0))


def format_usd(value: float) -> str:
    """Return US dollars as text: with cents, and below one dollar with four decimals."""
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"
