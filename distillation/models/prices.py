"""Read prices.toml: list prices, each with its source, its date and whether an official price list has it."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from distillation.documents import PriceRow
from distillation.errors import InvalidRequest

FILE = Path(__file__).with_name("prices.toml")
STALE_DAYS = 180
"""Age in days from which a price is reported as old."""
_PATH = f"distillation/models/{FILE.name}"


@dataclass(frozen=True)
class Price:
    """Price of one use of a product: ``usd`` US dollars for ``per`` units."""

    product: str
    """Model id, or an AWS service such as ``lambda``."""
    use: str
    """Kind of use, such as ``input``, ``training`` or ``storage``."""
    usd: float
    """US dollars, before tax, discounts and free tiers."""
    per: float
    """Quantity that ``usd`` pays for, in ``unit``."""
    unit: str
    """Unit of quantity, such as ``tokens``."""
    source: str
    """Document that has the price."""
    date: datetime.date
    """Day on which the source was published or read."""
    confirmed: bool = True
    """Whether an official price list has the price."""

    def cost(self, quantity: float) -> float:
        """Return the cost of ``quantity`` units in US dollars."""
        return quantity * self.usd / self.per

    def as_row(self) -> PriceRow:
        """Return the row as estimates and manifests have it."""
        return PriceRow(**{**self.__dict__, "date": self.date.isoformat()})


def rows() -> Mapping[tuple[str, str], Price]:
    """Return all prices by product and use; the file is read once."""
    return _read(FILE)


@cache
def _read(path: Path) -> Mapping[tuple[str, str], Price]:
    products = tomllib.loads(path.read_text("utf-8"))
    return {
        (product, use): Price(product=product, use=use, **row)
        for product, uses in products.items()
        for use, row in uses.items()
    }


def price(product: str, use: str) -> Price:
    """Return one price. Raises ``InvalidRequest`` if the file has none: a budget needs every price."""
    row = rows().get((product, use))
    if row is None:
        raise InvalidRequest(f"no price for {use!r} of {product!r}. Add the row to {_PATH}.")
    return row


def has_price(product: str, use: str) -> bool:
    """Return whether the file has a price."""
    return (product, use) in rows()


def warnings(used: Iterable[Price], today: datetime.date) -> list[str]:
    """Return warnings about prices that are not confirmed, and one about all prices older than 180 days."""
    distinct = list({(row.product, row.use): row for row in used}.values())
    unconfirmed = sorted(f"{row.product} {row.use}" for row in distinct if not row.confirmed)
    stale = sorted((row for row in distinct if (today - row.date).days > STALE_DAYS), key=lambda row: row.date)
    messages = []
    if unconfirmed:
        messages.append(f"not confirmed by an official price list: the price of {', '.join(unconfirmed)}")
    if stale:
        oldest = stale[0]
        messages.append(
            f"older than {STALE_DAYS} days: {len(stale)} of {len(distinct)} prices, the oldest of {oldest.date} "
            f"({oldest.product} {oldest.use}). Update {_PATH}."
        )
    return messages
