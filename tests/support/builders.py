"""Builders of records whose details do not matter to a test."""

from __future__ import annotations

from typing import Any

from distillation.inference.rate_limit import BatchLimits, Clock
from distillation.records import Labeler, Limits, Prompt, Request, Run


def any_run(**request: Any) -> Run:
    """Return a run of the Nova pair; keywords are fields of its request."""
    labeler = Labeler(id="labeler", model="amazon.nova-pro-v1:0", max_tokens=400, temperature=0)
    return Run(
        name="holiday-1",
        collection="holiday/",
        execution="arn:aws:states:us-east-1:000000000000:execution:m:e",
        created="2026-11-24T00:00:00+00:00",
        account="000000000000",
        teacher=labeler,
        ceiling=labeler.model_copy(update={"id": "ceiling", "temperature": 0.5}),
        student="amazon.nova-lite-v1:0",
        prompt=Prompt(system="You index photographs.", user="Write keywords."),
        side=900,
        request=Request(**request),
    )


def run_with_limits(minimum: int, maximum: int, **request: Any) -> Run:
    """Return a run whose answers must have ``minimum`` to ``maximum`` items; keywords are fields of its request."""
    return any_run(**request).model_copy(update={"limits": Limits(minimum=minimum, maximum=maximum)})


def any_limits(clock: Clock | None = None, seconds: float = 600, batches: int = 1) -> BatchLimits:
    """Return limits of one of ``batches`` concurrent batches, whose deadline is in ``seconds``."""
    clock = clock or Clock()
    return BatchLimits(batches, clock.now() + seconds, clock)


def converse_response(text: str = "cat, sofa, window", stop_reason: str = "end_turn") -> dict[str, Any]:
    """Return a response of Converse with this text, for 1,000 input tokens and 100 output tokens."""
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
        "metrics": {"latencyMs": 5},
    }
