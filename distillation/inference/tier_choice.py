"""Choose the service tier of each call of a batch: with ``auto``, flex first and the standard tier where flex fails.

Flex costs half. AWS promises neither capacity nor a latency for it ("best-effort availability", "may experience
throttling": Capacity, Limits, and Cost Optimization, Amazon Bedrock User Guide). Both tiers share the account's quota
per minute (model card of Nova Pro). A throttled flex call alone therefore does not show whether flex or the quota is
exhausted.

A question that flex throttled is asked on the standard tier next. If it is answered, flex was exhausted. If it is
throttled too, the quota was, and the question returns to flex, which costs half. The rest of the batch moves to the
standard tier only if flex is often exhausted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import Lock

from distillation.errors import AccessDenied, DistillationError, InvalidRequest, Throttled
from distillation.inference.converse import Unavailable
from distillation.records import Answer, RequestedTier, ServiceTier
from distillation.telemetry import logger

FLEX_LATENCY_SECONDS = 30
"""Latency in seconds after which a flex call has stalled; there are enough threads for twice as much."""
_ANSWERED_PER_THROTTLED = 8
"""Ratio of answered to throttled questions on the standard tier above which flex, not the quota, is exhausted.

A quota that is lower than documented throttles about every fifth call while the rate limiter adapts to it.
"""
_MINIMUM_FALLBACKS = 4
"""Number of questions answered on the standard tier after which the rest of the batch may stay there."""
_FALLBACK_SHARE = 0.3
"""Share of all answers (0-1) from which on the rest of the batch stays on the standard tier.

Below it the batch is as fast on flex, and costs less.
"""


@dataclass
class FlexFailures:
    """Failed flex calls of one question since its last call on the standard tier."""

    errors: list[DistillationError] = field(default_factory=list)
    is_probe: bool = False
    """Whether this question is the first to show whether flex or the quota throttles the batch."""

    @property
    def throttled(self) -> int:
        """Number of throttled calls."""
        return sum(map(is_throttling, self.errors))


class TierChoice:
    """The service tier of the calls of one batch to one model."""

    def __init__(self, requested: RequestedTier, now: Callable[[], float]) -> None:
        """Choose among the tiers that ``requested`` allows: only ``auto`` allows two."""
        self._requested: RequestedTier = requested
        self._now, self._numbers, self._lock = now, count(), Lock()
        self._running: dict[int, float] = {}
        self._is_standard_only = self._is_probing = False
        self._answers = self._fallbacks = self._throttled_fallbacks = 0

    @property
    def is_flex_exhausted(self) -> bool:
        """Whether flex is known to throttle what the standard tier answers."""
        return self._fallbacks > _ANSWERED_PER_THROTTLED * self._throttled_fallbacks

    @property
    def is_quota_exhausted(self) -> bool:
        """Whether both tiers are known to throttle."""
        return self._throttled_fallbacks > 0 and not self.is_flex_exhausted

    def first_tier(self) -> ServiceTier:
        """Return the tier of the first call of a batch."""
        return "flex" if self._requested == "auto" else self._requested

    def tier(self, failures: FlexFailures) -> ServiceTier:
        """Return the tier of a question's next call."""
        if self._requested != "auto":
            return self._requested
        return "default" if failures.errors or self._is_standard_only or self._is_stalled() else "flex"

    def may_fall_back(self, tier: ServiceTier) -> bool:
        """Return whether a question that failed on ``tier`` may be answered on the standard tier."""
        return self._requested == "auto" and tier == "flex"

    def send(self, tier: ServiceTier, send: Callable[[ServiceTier], Answer]) -> Answer:
        """Return the answer of ``send``, and note since when a flex call has been running."""
        if not self.may_fall_back(tier):
            return send(tier)
        number = next(self._numbers)
        with self._lock:
            self._running[number] = self._now()
        try:
            return send(tier)
        finally:
            with self._lock:
                del self._running[number]

    def count_flex_failure(self, error: DistillationError, failures: FlexFailures) -> None:
        """Count a failed flex call. The first question that flex throttles becomes the probe."""
        with self._lock:
            failures.errors.append(error)
            if not (self._is_probing or self._fallbacks or self._throttled_fallbacks):
                self._is_probing = failures.is_probe = True

    def count_throttled(self, failures: FlexFailures) -> None:
        """Count a call that the standard tier throttled; a question that both tiers throttled returns to flex."""
        with self._lock:
            if failures.errors and all(map(is_throttling, failures.errors)):
                self._throttled_fallbacks += 1
                failures.errors.clear()
        self.end_probe(failures)

    def count_answer(self, tier: ServiceTier, failures: FlexFailures) -> None:
        """Count an answer. If flex failed too often, all later calls of the batch use the standard tier."""
        with self._lock:
            self._answers += 1
            if not failures.errors or tier == "flex" or self._is_standard_only:
                return
            self._fallbacks += 1
            is_refused = any(isinstance(error, InvalidRequest | AccessDenied) for error in failures.errors)
            is_frequent = self._fallbacks >= max(_MINIMUM_FALLBACKS, _FALLBACK_SHARE * self._answers)
            self._is_standard_only = is_refused or (is_frequent and self.is_flex_exhausted)
        if self._is_standard_only:
            logger.warning("rest of the batch is asked on the standard tier", flex_error=str(failures.errors[-1]))

    def end_probe(self, failures: FlexFailures) -> None:
        """End the probe if this question is the probe, so that another question can become the probe."""
        with self._lock:
            if failures.is_probe:
                self._is_probing = failures.is_probe = False

    def _is_stalled(self) -> bool:
        """Return whether a flex call has been running for too long: the next questions do not wait for its timeout."""
        with self._lock:
            return any(self._now() - start > FLEX_LATENCY_SECONDS for start in self._running.values())


def is_throttling(error: DistillationError) -> bool:
    """Return whether Bedrock refused a call because of a quota or of missing capacity."""
    return isinstance(error, Throttled) and not isinstance(error, Unavailable)
