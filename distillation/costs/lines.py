"""Lines of an estimate: a quantity with bounds, its price and what it costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    high_price: Price | None = None
    """Price of the high bound, if calls may move to a service tier that costs more."""

    @property
    def usd(self) -> Bounds:
        """Cost in US dollars."""
        usd = self.quantity.times(self.price.usd / self.price.per)
        return usd.model_copy(update={"high": self.high_price.cost(self.quantity.high)}) if self.high_price else usd

    def as_document(self, round_number: int) -> EstimateLine:
        """Return the line for an estimate, with the row of prices.toml that it depends on."""
        return EstimateLine(
            round=round_number,
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


def merged(lines: Iterable[CostLine]) -> list[CostLine]:
    """Return the lines with those of the same step, item and price added up."""
    sums: dict[tuple[str, str, Price], CostLine] = {}
    for line in lines:
        key = line.step, line.what, line.price
        earlier = sums.get(key)
        sums[key] = replace(line, quantity=earlier.quantity + line.quantity) if earlier else line
    return list(sums.values())


def total(lines: Iterable[CostLine]) -> Bounds:
    """Return the sum of lines in US dollars."""
    return sum((line.usd for line in lines), exactly(0))


def format_cents(value: float) -> str:
    """Return US dollars as text with cents; a smaller amount than a cent as such."""
    return "less than $0.01" if 0 < value < 0.005 else f"${value:,.2f}"


def format_usd(value: float) -> str:
    """Return US dollars as text: with cents, and below one dollar with four decimals."""
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"
