"""What things cost: the rows of prices.toml, each with its source, its date, and whether an official copy has it."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from distillation.errors import InvalidRequest

FILE = Path(__file__).with_name("prices.toml")
STALE_DAYS = 90
_PATH = f"distillation/models/{FILE.name}"


@dataclass(frozen=True)
class Price:
    """``usd`` US dollars buy ``per`` of ``unit``."""

    product: str
    use: str
    usd: float
    per: float
    unit: str
    source: str
    date: datetime.date
    confirmed: bool = True

    def cost(self, quantity: float) -> float:
        """Return the US dollars that a quantity, in ``unit``, costs."""
        return quantity * self.usd / self.per

    def as_json(self) -> dict[str, Any]:
        """Return the row for a report."""
        return {**self.__dict__, "date": self.date.isoformat()}


@cache
def rows() -> Mapping[tuple[str, str], Price]:
    """Return all rows by product and use."""
    products = tomllib.loads(FILE.read_text("utf-8"))
    return {
        (product, use): Price(product=product, use=use, **row)
        for product, uses in products.items()
        for use, row in uses.items()
    }


def price(product: str, use: str) -> Price:
    """Return one row; raises ``InvalidRequest`` where the file has none: what has no price cannot be kept to a budget."""
    found = rows().get((product, use))
    if found is None:
        raise InvalidRequest(f"no price for {use!r} of {product!r}; add the row to {_PATH}")
    return found


def has_price(product: str, use: str) -> bool:
    """Tell whether the file has a row."""
    return (product, use) in rows()


def warnings(used: Iterable[Price], today: datetime.date) -> list[str]:
    """Return what to mind about rows: which are not confirmed, and which are older than 90 days."""
    distinct = {(row.product, row.use): row for row in used}.values()
    unconfirmed = sorted(f"{row.product} {row.use}" for row in distinct if not row.confirmed)
    stale = sorted(f"{row.product} {row.use}" for row in distinct if (today - row.date).days > STALE_DAYS)
    found = []
    if unconfirmed:
        found.append(f"not confirmed by an official copy: the price of {', '.join(unconfirmed)}")
    if stale:
        found.append(f"older than {STALE_DAYS} days: the price of {', '.join(stale)}; see {_PATH}")
    return found
