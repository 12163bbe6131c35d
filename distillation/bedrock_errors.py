"""Bedrock's error codes on jobs, models and deployments as the failures that the machine tells apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from distillation.errors import AccessDenied, DistillationError, InvalidRequest, QuotaExceeded, ResourceBusy, Throttled

BEDROCK_FAILURES = (ClientError, ConnectionError, HTTPClientError, ResponseParserError)
"""What a call of Bedrock raises: the service said no, or no answer that can be read came back."""

_FAILURES: dict[str, type[DistillationError]] = {
    "AccessDeniedException": AccessDenied,
    "ConflictException": ResourceBusy,
    "InternalServerException": Throttled,
    "ServiceQuotaExceededException": QuotaExceeded,
    "ServiceUnavailableException": Throttled,
    "ThrottlingException": Throttled,
    "TooManyTagsException": InvalidRequest,
    "ValidationException": InvalidRequest,
}


def code_and_message(error: ClientError) -> tuple[str, str]:
    """Return the service's error code and text."""
    details = error.response.get("Error", {})
    return details.get("Code", "Unknown"), details.get("Message", str(error))


def http_status(error: ClientError) -> int:
    """Return the status of the service's answer, 0 where there was none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def to_pipeline_error(error: Exception, what: str) -> Exception:
    """Return the failure that an error of Bedrock means, naming what was asked for."""
    if not isinstance(error, ClientError):
        return Throttled(f"{what}: no answer from Bedrock: {error}")
    code, message = code_and_message(error)
    # A proxy or a load balancer answers with codes that no service model names.
    heals = Throttled if http_status(error) == 429 or http_status(error) >= 500 else None
    kind = _FAILURES.get(code) or heals
    return kind(f"{what}: {message}") if kind else error


@contextmanager
def pipeline_errors(what: str) -> Iterator[None]:
    """Raise the failure that an error of Bedrock inside means."""
    try:
        yield
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, what) from error
