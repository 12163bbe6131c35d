"""Delay of Step Functions before a retry."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any


def retry_delay(retrier: Mapping[str, Any], retries: int) -> float:
    """Return the seconds to wait before the next attempt, after ``retries`` earlier ones by this retrier."""
    delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** min(retries, 60)
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    return random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
