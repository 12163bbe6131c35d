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


def code_and_message(error: ClientError) -> tuple[str, str]:
    """Return the service's error code and text."""
    details = error.response.get("Error", {})
    return details.get("Code", "Unknown"), details.get("Message", str(error))


def translated(error: ClientError, what: str) -> Exception:
    """Return the failure that an error of Bedrock means, naming what was asked for."""
    code, message = code_and_message(error)
    kind = _FAILURES.get(code)
    return kind(f"{what}: {message}") if kind else error
