"""What goes wrong at the local endpoint on purpose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose; nothing by default."""

    throttle_every: int = 0
    """Every so many calls of Converse are answered with ThrottlingException."""
    failing_jobs: str | None = None
    """Jobs whose name contains this text fail."""
    job_seconds: float = 0.2
    """How long a job takes at least."""
