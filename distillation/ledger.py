"""Ledger of a run: one small S3 object (a part) per batch or job, with its cost in the key.

Listing the parts gives the total without reading them. Evaluate sums them into ``ledger.json``. A batch writes a
reservation before its first call, and a part with the same id replaces it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from math import ceil

from distillation import keys
from distillation.documents import Ledger, LedgerEntry
from distillation.models import catalog
from distillation.records import LedgerPart, ServiceTier
from distillation.storage import Bucket
from distillation.telemetry import logger

_MICRO_DOLLARS = 1_000_000
"""Micro dollars per US dollar."""
_UNKNOWN = "unknown"
"""Model of a part that cannot be read."""
_PART_NAME = re.compile(r"(?P<step>[^.]+)\.(?P<id>[^.]+)\.(?P<micro_dollars>\d+)\.(?P<kind>json|reserved)")
"""Name of a part or reservation; see ``keys.ledger_part_key``."""


def write_part(run: str, part: LedgerPart, id: str, data: Bucket) -> None:
    """Write one part. Each attempt of a batch needs a new ``id``, so that calls paid twice count twice."""
    data.write_document(keys.ledger_part_key(run, part.step, id, round(part.usd * _MICRO_DOLLARS)), part)


def reserve(run: str, step: str, id: str, usd: float, data: Bucket) -> float:
    """Reserve the highest cost of a batch, in US dollars; return it, rounded up to a micro dollar.

    A part with the same ``id`` settles the reservation.
    """
    micro_dollars = ceil(usd * _MICRO_DOLLARS)
    data.write(keys.reservation_key(run, step, id, micro_dollars), b"")
    return micro_dollars / _MICRO_DOLLARS


def paid_and_reserved_usd(run: str, data: Bucket) -> tuple[float, float]:
    """Return what a run has paid, and its reservations that no part has settled, in US dollars."""
    paid: dict[str, int] = {}
    reserved: dict[str, int] = {}
    for key in data.keys(keys.ledger_prefix(run)):
        if name := _part_name(key):
            (paid if name["kind"] == "json" else reserved)[name["id"]] = int(name["micro_dollars"])
    unsettled = (amount for id, amount in reserved.items() if id not in paid)
    return sum(paid.values()) / _MICRO_DOLLARS, sum(unsettled) / _MICRO_DOLLARS


def tier_suffix(tier: ServiceTier) -> str:
    """Return the suffix of a service tier's uses in prices.toml, such as ``-flex``."""
    return "" if tier == "default" else f"-{tier}"


def inference_usd(model: str, input_tokens: int, output_tokens: int, tier: ServiceTier = "default") -> float:
    """Return the price of a model's tokens in US dollars. Pass the base model's id for a tuned model."""
    input_use, output_use = _inference_uses(tier)
    row = catalog.get_model(model)
    return row.price(input_use).cost(input_tokens) + row.price(output_use).cost(output_tokens)


def usd_per_1000_answers(model: str, input_tokens: float, output_tokens: float, tier: ServiceTier = "default") -> float:
    """Return the price of 1,000 answers in US dollars, from the mean tokens of one; see ``inference_usd``."""
    return inference_usd(model, round(1000 * input_tokens), round(1000 * output_tokens), tier)


def summary(run: str, data: Bucket) -> Ledger:
    """Return the parts of a run's ledger summed by step, model and service tier.

    A part that cannot be read counts with the cost in its key, and its model is ``unknown``.
    """
    totals: dict[tuple[str, str, ServiceTier], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for key in data.keys(keys.ledger_prefix(run)):
        name = _part_name(key)
        if name is None or name["kind"] != "json":
            continue
        part = data.find_intact(key, LedgerPart) or LedgerPart(
            step=name["step"],
            model=_UNKNOWN,
            calls=0,
            reused=0,
            input_tokens=0,
            output_tokens=0,
            usd=int(name["micro_dollars"]) / _MICRO_DOLLARS,
        )
        for field in ("calls", "throttled", "reused", "input_tokens", "output_tokens", "training_tokens", "usd"):
            totals[part.step, part.model, part.tier][field] += getattr(part, field)
    entries = [
        LedgerEntry.model_validate(
            {"step": step, "model": model, "tier": tier, **values}
            | {"confirmed": prices_are_confirmed(model, tier, values["training_tokens"] > 0)}
        )
        for (step, model, tier), values in sorted(totals.items())
    ]
    return Ledger(usd=sum(entry.usd for entry in entries), entries=entries)


def prices_are_confirmed(model: str, tier: ServiceTier, training: bool) -> bool:
    """Return whether an official price list has the price of a model's training, or the prices of its tokens."""
    if model == _UNKNOWN:
        return False
    uses = ("training",) if training else _inference_uses(tier)
    return all(catalog.get_model(model).price(use).confirmed for use in uses)


def _part_name(key: str) -> re.Match[str] | None:
    """Return the fields in the name of a part or reservation; None for an object that the pipeline did not write."""
    name = _PART_NAME.fullmatch(key.rsplit("/", 1)[1])
    if name is None:
        logger.warning("object that is no part of the ledger ignored", key=key)
    return name


def _inference_uses(tier: ServiceTier) -> tuple[str, str]:
    return f"input{tier_suffix(tier)}", f"output{tier_suffix(tier)}"
