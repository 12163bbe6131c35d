"""A teacher in virtual time: the quotas and faults of the local endpoint, the latencies of a large model, no model."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from math import log
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from distillation.records import Quota
from local.bedrock.faults import RESET, SLOW, ConverseFaults
from local.bedrock.protocol import BedrockError
from local.bedrock.quotas import Quotas
from tests.support.virtual_time import VirtualTime

WORDS = ", ".join(f"word {number}" for number in range(20))
INPUT_TOKENS, OUTPUT_TOKENS = 1_100, 100


@dataclass
class SimulatedBedrock:
    """What questions call of a ``bedrock-runtime`` client. ``answered`` counts by image what was billed."""

    time: VirtualTime
    quota: Quota = field(default_factory=Quota)
    faults: ConverseFaults = field(default_factory=ConverseFaults)
    median_seconds: float = 4.0
    answered: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    throttled: int = 0
    under_way: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By image: when each billed call began and ended."""

    def __post_init__(self) -> None:
        self._quotas = Quotas(self.time.now)
        self._random, self._lock = random.Random(self.faults.seed), threading.Lock()

    def converse(self, **question: Any) -> dict[str, Any]:
        """Answer with keywords after a while."""
        with self._lock:
            self.calls += 1
            fault, latency = self.faults.of_call(self.calls), self._latency()
        try:
            self._fail(fault)
            held = self._quotas.admit("", INPUT_TOKENS + question["inferenceConfig"]["maxTokens"], self.quota)
        except BedrockError as error:
            self.throttled += error.code == "ThrottlingException"
            self.time.sleep(0.1)
            details: Any = {"Error": {"Code": error.code, "Message": error.message}}
            raise ClientError(details, "Converse") from None
        begun = self.time.now()
        self.time.sleep(self.faults.slow_seconds if fault == SLOW else latency)
        self._quotas.settle(held, INPUT_TOKENS + OUTPUT_TOKENS)
        self._bill(question, begun)
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": WORDS}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": INPUT_TOKENS, "outputTokens": OUTPUT_TOKENS},
            "metrics": {"latencyMs": round(latency * 1000)},
        }

    def _latency(self) -> float:
        return self._random.lognormvariate(log(self.median_seconds), 0.4)

    def _fail(self, fault: str | None) -> None:
        if fault == RESET:
            self.time.sleep(1.0)
            raise ConnectionClosedError(endpoint_url="https://bedrock")
        if fault and fault != SLOW:
            raise BedrockError(fault, "on purpose")

    def _bill(self, question: dict[str, Any], begun: float) -> None:
        (image,) = (block["image"] for block in question["messages"][0]["content"] if "image" in block)
        name = image["source"]["s3Location"]["uri"].rsplit("/", 1)[1]
        with self._lock:
            self.answered[name] += 1
            self.under_way.setdefault(name, []).append((begun, self.time.now()))
