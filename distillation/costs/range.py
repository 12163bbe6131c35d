"""Quantities and prices that are not known yet, with the bounds they lie between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from distillation.models.prices import Price


@dataclass(frozen=True)
class CostRange:
    """What is expected, and from where to where it may come."""

    low: float
    expected: float
    high: float

    def __add__(self, other: CostRange) -> CostRange:
        return CostRange(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> CostRange:
        """Return so many of them."""
        return CostRange(self.low * factor, self.expected * factor, self.high * factor)

    def for_each(self, factor: CostRange) -> CostRange:
        """Return so many of them, where their number is not known either."""
        return CostRange(self.low * factor.low, self.expected * factor.expected, self.high * factor.high)

    def as_json(self) -> dict[str, float]:
        """Return the three figures."""
        return {name: round(value, 9) for name, value in self.__dict__.items()}


def exactly(value: float) -> CostRange:
    """Return an amount that is known."""
    return CostRange(value, value, value)


@dataclass(frozen=True)
class Line:
    """One line of the bill: what a step uses, and what of it costs how much."""

    step: str
    what: str
    quantity: CostRange
    price: Price

    @property
    def usd(self) -> CostRange:
        """US dollars."""
        return self.quantity.times(self.price.usd / self.price.per)

    def as_json(self) -> dict[str, Any]:
        """Return the line with the row of prices.toml that it depends on."""
        return {
            "step": self.step,
            "what": self.what,
            "quantity": self.quantity.as_json(),
            "usd": self.usd.as_json(),
            "price": self.price.as_json(),
        }


def total(lines: Iterable[Line]) -> CostRange:
    """Return the sum of lines in US dollars."""
    return sum((line.usd for line in lines), exactly(0.0))


def format_usd(value: float) -> str:
    """Return US dollars for people: cents, and below a dollar what is left of them."""
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"
