"""Bedrock's error codes on jobs, models and deployments as the failures that the machine tells apart."""

from __future__ import annotations

from botocore.exceptions import ClientError

from lambdas.shared.errors import (
    AccessRefused,
    BadRequest,
    DistillationError,
    QuotaReached,
    StillStopping,
    Throttled,
)

_FAILURES: dict[str, type[DistillationError]] = {
    "AccessDeniedException": AccessRefused,
    "ConflictException": StillStopping,
    "InternalServerException": Throttled,
    "ServiceQuotaExceededException": QuotaReached,
    "ServiceUnavailableException": Throttled,
    "ThrottlingException": Throttled,
    "TooManyTagsException": BadRequest,
    "ValidationException": BadRequest,
}


def translated(error: ClientError, what: str) -> Exception:
    """Return the failure that an error of Bedrock means, naming what was asked for."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    kind = _FAILURES.get(code)
    return kind(f"{what}: {message}") if kind else error
