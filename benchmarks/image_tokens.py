"""Print the tables of docs/costs.md: tokens and price of images before and after they are reduced.

    python -m benchmarks.image_tokens

Tokens follow the rules of distillation/models/image_tokens.py. Prices are those of distillation/models/prices.toml for
1,000 images as input, in US dollars.
"""

from __future__ import annotations

import sys

from distillation.models import catalog
from distillation.models.model import Family, Model

ORIGINALS = ((6000, 4000), (4000, 3000), (3000, 2000), (2000, 1000), (1300, 1300), (900, 600), (300, 200))
"""Width and height of photos, in pixels."""
PRICED_MODELS = {
    "nova-v1": ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"),
    "nova-2": ("us.amazon.nova-2-lite-v1:0",),
    "claude": (),
}
"""Ids of the models with a price column, by family."""


def main() -> None:
    for name, ids in PRICED_MODELS.items():
        family, models = catalog.get_family(name), [catalog.get_model(id) for id in ids]
        _print(f"\n{family.name}, side {family.image_side}")
        headings = [f"{model.display_name}, $ per 1,000" for model in models]
        _print_row(["original", "tokens", "resized", "tokens", *headings])
        _print_row(["---"] * (4 + len(headings)))
        for width, height in ORIGINALS:
            _print_row(_cells(family, models, width, height))


def _cells(family: Family, models: list[Model], width: int, height: int) -> list[str]:
    scale = min(1.0, family.image_side / max(width, height))
    resized = (round(width * scale), round(height * scale))
    before, after = family.image_tokens(width, height), family.image_tokens(*resized)
    prices = [model.price("input") for model in models]
    return [
        f"{width}x{height}",
        f"{before:,}",
        f"{resized[0]}x{resized[1]}",
        f"{after:,}",
        *(f"{price.cost(1000 * before):,.2f} → {price.cost(1000 * after):,.2f}" for price in prices),
    ]


def _print_row(cells: list[str]) -> None:
    _print(f"| {' | '.join(cells)} |")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
