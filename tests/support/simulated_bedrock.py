"""A simulated teacher in virtual time, with the quotas and faults of the local endpoint and a large model's latency."""

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
    """``bedrock-runtime`` client whose Converse gives the same answer to every request."""

    time: VirtualTime
    quota: Quota = field(default_factory=Quota)
    faults: ConverseFaults = field(default_factory=ConverseFaults)
    median_seconds: float = 4.0
    answered: Counter[str] = field(default_factory=Counter)
    """Number of billed calls, keyed by image name."""
    tiers: Counter[str] = field(default_factory=Counter)
    """Number of billed calls, keyed by service tier."""
    calls: int = 0
    throttled: int = 0

    def __post_init__(self) -> None:
        self._quotas = Quotas(self.time.now)
        self._random, self._lock = random.Random(self.faults.seed), threading.Lock()

    def converse(self, **request: Any) -> dict[str, Any]:
        """Answer with keywords after the latency of a large model."""
        tier = request.get("serviceTier", {}).get("type", "default")
        with self._lock:
            self.calls += 1
            fault, latency = self.faults.of_call(self.calls, tier), self._latency()
        try:
            self._fail(fault)
            call = self._quotas.admit("", INPUT_TOKENS + request["inferenceConfig"]["maxTokens"], self.quota)
        except BedrockError as error:
            self.throttled += error.code == "ThrottlingException"
            self.time.sleep(self.faults.slow_seconds if error.code == "ModelTimeoutException" else 0.1)
            details: Any = {"Error": {"Code": error.code, "Message": error.message}}
            raise ClientError(details, "Converse") from None
        self.time.sleep(self.faults.slow_seconds if fault == SLOW else latency)
        self._quotas.settle(call, INPUT_TOKENS + OUTPUT_TOKENS)
        self._bill(request, tier)
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
            raise BedrockError(fault, "simulated fault")

    def _bill(self, request: dict[str, Any], tier: str) -> None:
        (image,) = (block["image"] for block in request["messages"][0]["content"] if "image" in block)
        name = image["source"]["s3Location"]["uri"].rsplit("/", 1)[1]
        with self._lock:
            self.answered[name] += 1
            self.tiers[tier] += 1
