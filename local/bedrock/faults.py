"""Faults that the local endpoint injects on request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from distillation.records import Quota
from local.bedrock.quotas import DAY_SECONDS

SLOW, RESET = "slow", "reset"
KINDS = (
    *("ThrottlingException", "ServiceUnavailableException", "InternalServerException", "ModelTimeoutException"),
    *("ModelNotReadyException", SLOW, RESET),
)
"""Faults of single calls, which a retry overcomes."""
PENDING_SUBSCRIPTION = (
    "AccessDeniedException",
    "Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace "
    "actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe) to enable access to this model. Your AWS "
    "Marketplace subscription for this model cannot be completed at this time. If you recently fixed this issue, try "
    "again after 2 minutes.",
)
"""Error that Bedrock returned for some minutes after a first subscription, from public reports."""
NOT_FOUND = ("ResourceNotFoundException", "{} not found.")
"""Error for an unknown identifier, which replaces ``{}``. The API reference also allows a ValidationException."""
NOT_JSONL_MESSAGE = "Unable to parse Amazon S3 file: train.jsonl. Data files must conform to JSONL format."


@dataclass(frozen=True)
class ConverseFaults:
    """Faults of Converse; none by default. Seed and call number determine which calls are affected."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """Share of calls (0-1), keyed by fault: an error code, ``slow``, or ``reset`` of the connection."""
    tier: str | None = None
    """Service tier whose calls have these faults, such as ``flex``; None for all tiers."""
    seed: int = 0
    seconds: float = 0.0
    """Minimum duration of an answer in seconds."""
    slow_seconds: float = 2.0
    """Minimum duration of a slow answer in seconds."""
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """Quotas, keyed by model id; other models have no limit."""
    day_seconds: float = DAY_SECONDS
    """Length of a day in seconds, for the quotas of tokens per day."""
    refused_calls: int = 0
    """Number of first calls, with any image, that are refused with ``refusal``."""
    refusal: tuple[str, str] = PENDING_SUBSCRIPTION
    """Error code and message of the refused calls."""

    def of_call(self, number: int, tier: str = "default") -> str | None:
        """Return the fault of the call with this number on a service tier, or None."""
        if self.tier not in (None, tier):
            return None
        drawn = int.from_bytes(hashlib.sha256(f"{self.seed} {number}".encode()).digest()[:7], "big") / 2**56
        for kind, share in self.shares.items():
            if drawn < share:
                return kind
            drawn -= share
        return None


@dataclass(frozen=True)
class Faults:
    """Faults of the endpoint; none by default. A substring of their names selects jobs and deployments."""

    converse: ConverseFaults = field(default_factory=ConverseFaults)
    failing_jobs: str | None = None
    """Substring of the names of jobs that fail with ``failure_message``."""
    failure_message: str = NOT_JSONL_MESSAGE
    stuck_jobs: str | None = None
    """Substring of the names of jobs whose training never starts; their creation time is ``stuck_hours`` ago."""
    stuck_hours: float = 25
    failing_deployments: str | None = None
    """Substring of the names of deployments whose creation fails."""
    absent: tuple[str, str] = NOT_FOUND
    """Error code and message for an identifier of no job, model or deployment; the identifier replaces ``{}``."""
    deployments_refuse_s3_location: bool = False
    """Whether deployments of tuned models answer about images as bytes only."""
    legacy_models: tuple[str, ...] = ()
    """Model ids for customization that are LEGACY and take no new jobs."""
    job_seconds: float = 0.2
    """Minimum duration of a job in seconds."""


def equal_shares(total: float) -> dict[str, float]:
    """Return equal shares of all kinds of fault that add up to ``total``."""
    return dict.fromkeys(KINDS, total / len(KINDS))


def is_affected(substring: str | None, name: str) -> bool:
    """Return whether a fault affects the job or deployment with this name."""
    return substring is not None and substring in name
