"""Quotas of requests and tokens per minute, counted as Bedrock counts them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from distillation.records import Quota
from local.bedrock.protocol import BedrockError

_WINDOW_SECONDS = 60.0


@dataclass
class AdmittedCall:
    """A call that was within its quota."""

    time: float
    """Start in seconds, on the clock of ``Quotas.now``."""
    tokens: int
    """Tokens that count against the quota."""


@dataclass
class Quotas:
    """The calls of each model in the last 60 seconds.

    A running call counts with its input tokens and ``maxTokens``, a finished call with the tokens that it used.
    AWS does not say how a minute is measured. Any 60 seconds count here, which is the strictest reading.
    """

    now: Callable[[], float] = time.monotonic
    _calls: defaultdict[str, deque[AdmittedCall]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, model: str, tokens: int, limit: Quota) -> AdmittedCall:
        """Admit a call; raise BedrockError if it exceeds the quota of the last 60 seconds."""
        with self._lock:
            calls, now = self._calls[model], self.now()
            while calls and calls[0].time <= now - _WINDOW_SECONDS:
                calls.popleft()
            if limit.requests_per_minute is not None and len(calls) + 1 > limit.requests_per_minute:
                raise BedrockError("ThrottlingException", "Too many requests, please wait before trying again.")
            counted = sum(call.tokens for call in calls) if limit.tokens_per_minute is not None else 0
            if limit.tokens_per_minute is not None and counted + tokens > limit.tokens_per_minute:
                raise BedrockError("ThrottlingException", "Too many tokens, please wait before trying again.")
            calls.append(AdmittedCall(now, tokens))
            return calls[-1]

    @staticmethod
    def settle(call: AdmittedCall, used: int) -> None:
        """Count a finished call with the tokens that it used."""
        call.tokens = used
