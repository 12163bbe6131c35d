"""What was spent: one small object per batch, with its cost in its name.

One LIST of the parts gives the running total without reading any; Evaluate sums them once into
``ledger.json``. Beside a part may lie the reservation that it settles, under the same id.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil
from typing import Any

from distillation import keys
from distillation.models import catalog
from distillation.records import LedgerPart, ServiceTier
from distillation.storage import Bucket

_MICRO = 1_000_000


def record(data: Bucket, run: str, part: LedgerPart, id: str) -> None:
    """Write one part. Each attempt of a batch has an id of its own: what was paid twice counts twice."""
    data.write_json(keys.ledger_part_key(run, part.step, id, round(part.usd * _MICRO)), part.model_dump())


def reserve(data: Bucket, run: str, step: str, id: str, usd: float) -> float:
    """Write down the most that a batch may cost, until a part with its id says what it did; return it, rounded up."""
    micro_dollars = ceil(usd * _MICRO)
    data.write(keys.reservation_key(run, step, id, micro_dollars), b"")
    return micro_dollars / _MICRO


def total_usd(data: Bucket, run: str) -> float:
    """Return what a run has cost so far, in US dollars, from the names of its parts."""
    return committed_usd(data, run)[0]


def committed_usd(data: Bucket, run: str) -> tuple[float, float]:
    """Return what a run has paid, and what is reserved beyond that, in US dollars."""
    paid: dict[str, int] = {}
    reserved: dict[str, int] = {}
    for key in data.keys(keys.ledger_prefix(run)):
        _, id, micro_dollars, kind = key.rsplit("/", 1)[1].split(".")
        (paid if kind == "json" else reserved)[id] = int(micro_dollars)
    unsettled = (usd for id, usd in reserved.items() if id not in paid)
    return sum(paid.values()) / _MICRO, sum(unsettled) / _MICRO


def suffix(tier: ServiceTier) -> str:
    """Return how the uses of a tier end in prices.toml."""
    return "" if tier == "default" else f"-{tier}"


def inference_usd(model: str, input_tokens: int, output_tokens: int, tier: ServiceTier = "default") -> float:
    """Price of a model's tokens in US dollars; a tuned model is billed as its base."""
    priced = catalog.get_model(model)
    uses = f"input{suffix(tier)}", f"output{suffix(tier)}"
    return priced.price(uses[0]).cost(input_tokens) + priced.price(uses[1]).cost(output_tokens)


def summary(data: Bucket, run: str) -> dict[str, Any]:
    """Sum the parts by step, model and tier: ``{"usd": ..., "entries": [{step, model, tier, calls, ..., confirmed}]}``.

    An entry is ``confirmed`` when an official copy has its prices.
    """
    entries: dict[tuple[str, str, ServiceTier], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for key in data.keys(keys.ledger_prefix(run)):
        if not key.endswith(".json"):
            continue
        part = LedgerPart.model_validate_json(data.read(key))
        entry = entries[part.step, part.model, part.tier]
        for field in ("calls", "throttled", "reused", "input_tokens", "output_tokens", "training_tokens", "usd"):
            entry[field] += getattr(part, field)
    rows = [
        {
            "step": step,
            "model": model,
            "tier": tier,
            **values,
            "confirmed": confirmed(model, tier, values["training_tokens"] > 0),
        }
        for (step, model, tier), values in sorted(entries.items())
    ]
    return {"usd": sum(row["usd"] for row in rows), "entries": rows}


def confirmed(model: str, tier: ServiceTier, training: bool) -> bool:
    """Tell whether an official copy has the prices of a model's training, or of its answers."""
    uses = ("training",) if training else (f"input{suffix(tier)}", f"output{suffix(tier)}")
    return all(catalog.get_model(model).price(use).confirmed for use in uses)
