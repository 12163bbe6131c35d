"""The table of docs/costs.md: what an image costs at its original size and at the side that its family wants.

    python -m benchmarks.image_tokens

Tokens follow the rules of distillation/models/catalog.py, dollars the rows of distillation/models/prices.toml:
1,000 images as input.
"""

from __future__ import annotations

import sys

from distillation.models import catalog
from distillation.models.catalog import CLAUDE, NOVA_1, NOVA_2, Family

ORIGINALS = ((6000, 4000), (4000, 3000), (3000, 2000), (2000, 1000), (1300, 1300), (900, 600), (300, 200))
PRICED = (
    (NOVA_1, ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0")),
    (NOVA_2, ("us.amazon.nova-2-lite-v1:0",)),
    (CLAUDE, ()),
)


def main() -> None:
    for family, models in PRICED:
        _say(f"\n{family.name}, side {family.image_side}")
        labels = [f"{catalog.get_model(model).display_name}, $ per 1,000" for model in models]
        _row(["original", "tokens", "resized", "tokens", *labels])
        _row(["---"] * (4 + len(labels)))
        for width, height in ORIGINALS:
            _row(_cells(family, models, width, height))


def _cells(family: Family, models: tuple[str, ...], width: int, height: int) -> list[str]:
    scale = min(1.0, family.image_side / max(width, height))
    small = (round(width * scale), round(height * scale))
    before, after = family.image_tokens(width, height), family.image_tokens(*small)
    prices = [catalog.get_model(model).price("input") for model in models]
    return [
        f"{width}x{height}",
        f"{before:,}",
        f"{small[0]}x{small[1]}",
        f"{after:,}",
        *(f"{price.cost(1000 * before):,.2f} → {price.cost(1000 * after):,.2f}" for price in prices),
    ]


def _row(cells: list[str]) -> None:
    _say(f"| {' | '.join(cells)} |")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
