"""What goes wrong at the local endpoint on purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from distillation.records import Quota

SLOW, RESET = "slow", "reset"
KINDS = (
    *("ThrottlingException", "ServiceUnavailableException", "InternalServerException", "ModelTimeoutException"),
    *("ModelNotReadyException", SLOW, RESET),
)
"""What happens to calls and heals."""
NOT_JSONL = "Unable to parse Amazon S3 file: train.jsonl. Data files must conform to JSONL format."


@dataclass(frozen=True)
class ConverseFaults:
    """What Converse suffers from; nothing by default. Which calls are hit follows from the seed and their number."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """Share of calls by what happens to them: an error's code, ``slow``, or ``reset`` of the connection."""
    seed: int = 0
    seconds: float = 0.0
    """How long an answer takes at least."""
    slow_seconds: float = 2.0
    """How long a slow one takes."""
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """By model; a model that is not named has no limit."""

    def of_call(self, number: int) -> str | None:
        """Return what happens to a call, or None."""
        drawn = int.from_bytes(hashlib.sha256(f"{self.seed} {number}".encode()).digest()[:7], "big") / 2**56
        for kind, share in self.shares.items():
            if drawn < share:
                return kind
            drawn -= share
        return None


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose; nothing by default. Jobs and deployments are chosen by a text in their name."""

    converse: ConverseFaults = field(default_factory=ConverseFaults)
    """What Converse suffers from."""
    failing_jobs: str | None = None
    """Jobs that fail, with ``failure_message``."""
    failure_message: str = NOT_JSONL
    stuck_jobs: str | None = None
    """Jobs whose training never starts; they look as if they had waited for ``stuck_hours``."""
    stuck_hours: float = 25
    failing_deployments: str | None = None
    """Deployments that end as Failed."""
    legacy_models: tuple[str, ...] = ()
    """Customization ids that are LEGACY and take no new jobs."""
    job_seconds: float = 0.2
    """How long a job takes at least."""


def evenly(share: float) -> dict[str, float]:
    """Return shares by kind that are a share of calls together."""
    return dict.fromkeys(KINDS, share / len(KINDS))


def chosen(pattern: str | None, name: str) -> bool:
    """Tell whether a job or deployment is one that a fault is for."""
    return pattern is not None and pattern in name
