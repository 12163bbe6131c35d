"""Quotas of requests and tokens per minute and of tokens per day, counted as Bedrock counts them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from distillation.records import Quota
from local.bedrock.protocol import BedrockError

_MINUTE_SECONDS = 60.0
DAY_SECONDS = 86_400.0


@dataclass
class AdmittedCall:
    """A call that was within its quota."""

    time: float
    """Start in seconds, on the clock of ``Quotas.now``."""
    tokens: int
    """Tokens that count against the quota."""


@dataclass
class Quotas:
    """The calls of each model in the last day.

    A running call counts with its input tokens and ``maxTokens``, a finished call with the tokens that it used.
    AWS does not say how a minute or a day is measured. Any 60 seconds and any 24 hours count here, which is the
    strictest reading.
    """

    now: Callable[[], float] = time.monotonic
    _calls: defaultdict[str, deque[AdmittedCall]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, model: str, tokens: int, limit: Quota, day_seconds: float = DAY_SECONDS) -> AdmittedCall:
        """Admit a call; raise BedrockError if it exceeds a quota. ``day_seconds`` is the length of a day."""
        with self._lock:
            calls, now = self._calls[model], self.now()
            longest_window = _MINUTE_SECONDS if limit.tokens_per_day is None else max(_MINUTE_SECONDS, day_seconds)
            while calls and calls[0].time <= now - longest_window:
                calls.popleft()
            if limit.tokens_per_day is not None and _tokens(calls, now - day_seconds) + tokens > limit.tokens_per_day:
                raise BedrockError("ThrottlingException", "Too many tokens per day, please wait before trying again.")
            minute = [call for call in calls if call.time > now - _MINUTE_SECONDS]
            if limit.requests_per_minute is not None and len(minute) + 1 > limit.requests_per_minute:
                raise BedrockError("ThrottlingException", "Too many requests, please wait before trying again.")
            if limit.tokens_per_minute is not None and _tokens(minute, -inf) + tokens > limit.tokens_per_minute:
                raise BedrockError("ThrottlingException", "Too many tokens, please wait before trying again.")
            calls.append(AdmittedCall(now, tokens))
            return calls[-1]

    @staticmethod
    def settle(call: AdmittedCall, used: int) -> None:
        """Count a finished call with the tokens that it used."""
        call.tokens = used


def _tokens(calls: Iterable[AdmittedCall], after: float) -> int:
    """Return the tokens of the calls that started after a time."""
    return sum(call.tokens for call in calls if call.time > after)
