"""What was spent: one small object per batch, with its cost in its name.

One LIST of the parts gives the running total without reading any; Evaluate sums them once into
``ledger.json``.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

from lambdas.shared import families, layout
from lambdas.shared.objects import Objects
from lambdas.shared.records import LedgerPart


def record(data: Objects, run: str, part: LedgerPart) -> None:
    """Write one part. Each attempt of a batch writes its own: what was paid twice counts twice."""
    micro_dollars = round(part.usd * 1_000_000)
    key = f"{layout.ledger_parts(run)}{part.step}.{uuid.uuid4().hex}.{micro_dollars}.json"
    data.write_json(key, part.model_dump())


def total_usd(data: Objects, run: str) -> float:
    """Return what a run has cost so far, in US dollars, from the names of its parts."""
    keys = data.keys(layout.ledger_parts(run))
    return sum(int(key.rsplit(".", 2)[1]) for key in keys) / 1_000_000


def inference_usd(model: str, input_tokens: int, output_tokens: int) -> float:
    """Price of a model's tokens in US dollars; a tuned model is billed as its base."""
    priced = families.model(model)
    return priced.price("input").of(input_tokens) + priced.price("output").of(output_tokens)


def summary(data: Objects, run: str) -> dict[str, Any]:
    """Sum the parts by step and model: ``{"usd": ..., "entries": [{step, model, calls, ...}]}``."""
    entries: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for key in data.keys(layout.ledger_parts(run)):
        part = LedgerPart.model_validate_json(data.read(key))
        entry = entries[part.step, part.model]
        for field in ("calls", "reused", "input_tokens", "output_tokens", "training_tokens", "usd"):
            entry[field] += getattr(part, field)
    rows = [{"step": step, "model": model, **values} for (step, model), values in sorted(entries.items())]
    return {"usd": sum(row["usd"] for row in rows), "entries": rows}
