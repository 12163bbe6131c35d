"""Requests and tokens per minute, counted as Bedrock counts them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from distillation.records import Quota
from local.bedrock.protocol import BedrockError

_MINUTE = 60.0


@dataclass
class Admitted:
    """A call that was let in: when, and how many tokens it holds."""

    time: float
    tokens: int


@dataclass
class Quotas:
    """What each model was asked in the last 60 seconds.

    A call holds its input and max_tokens from its start on, and what it used once it has ended. That any 60 seconds
    count, not those of the clock, is the strictest reading: AWS does not say.
    """

    now: Callable[[], float] = time.monotonic
    _minutes: defaultdict[str, deque[Admitted]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, model: str, tokens: int, limit: Quota) -> Admitted:
        """Let a call in; raises ``BedrockError`` when its minute is full."""
        with self._lock:
            minute, now = self._minutes[model], self.now()
            while minute and minute[0].time <= now - _MINUTE:
                minute.popleft()
            if limit.requests_per_minute is not None and len(minute) + 1 > limit.requests_per_minute:
                raise BedrockError("ThrottlingException", "Too many requests, please wait before trying again.")
            held = sum(call.tokens for call in minute) if limit.tokens_per_minute is not None else 0
            if limit.tokens_per_minute is not None and held + tokens > limit.tokens_per_minute:
                raise BedrockError("ThrottlingException", "Too many tokens, please wait before trying again.")
            minute.append(Admitted(now, tokens))
            return minute[-1]

    @staticmethod
    def settle(call: Admitted, used: int) -> None:
        """Give back what a call held and did not use."""
        call.tokens = used
