"""Translate errors of the Bedrock control plane into the exceptions of ``distillation.errors``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from distillation.errors import AccessDenied, DistillationError, InvalidRequest, QuotaExceeded, ResourceBusy, Throttled

BEDROCK_FAILURES = (ClientError, ConnectionError, HTTPClientError, ResponseParserError)
"""Exceptions of a boto3 call: an error response, no response, or a response that cannot be parsed."""

ACCESS_CAUSES = (
    "Possible causes: an IAM policy or a service control policy (SCP) denies the call; the account has no AWS "
    "Marketplace subscription to the model, which the first call by an administrator creates; or, for an Anthropic "
    "model, the use-case form was not submitted."
)
"""Causes of a refused access to a model. Source: "Access Amazon Bedrock foundation models", user guide."""

_NOT_FOUND = re.compile(
    r"not found|no such|(does not|doesn.t|not) exist|(could not|couldn.t|cannot|can.t|unable to) (be )?(find|found)",
    re.IGNORECASE,
)
"""Wording of an error message about a resource that does not exist."""

_PIPELINE_ERRORS: dict[str, type[DistillationError]] = {
    "AccessDeniedException": AccessDenied,
    "ConflictException": ResourceBusy,
    "InternalServerException": Throttled,
    "ServiceQuotaExceededException": QuotaExceeded,
    "ServiceUnavailableException": Throttled,
    "ThrottlingException": Throttled,
    "TooManyTagsException": InvalidRequest,
    "ValidationException": InvalidRequest,
}
"""Exceptions by Bedrock's error code."""


def code_and_message(error: ClientError) -> tuple[str, str]:
    """Return the error code and the message of an error response."""
    details = error.response.get("Error", {})
    return details.get("Code", "Unknown"), details.get("Message", str(error))


def http_status(error: ClientError) -> int:
    """Return the HTTP status of an error response, or 0 if it has none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_not_found(error: Exception) -> bool:
    """Return whether an error of a Bedrock call says that the resource does not exist.

    The API reference lists ``ResourceNotFoundException`` and ``ValidationException`` for a Get operation, and does not
    say which of them an unknown name has.
    """
    if not isinstance(error, ClientError):
        return False
    code, message = code_and_message(error)
    is_worded_so = _NOT_FOUND.search(message) is not None
    return code == "ResourceNotFoundException" or (code == "ValidationException" and is_worded_so)


def to_pipeline_error(error: Exception, subject: str) -> Exception:
    """Return the pipeline's exception for an error of a Bedrock call.

    ``subject`` is what the call was about, such as ``job my-run-n65-a1``; the message starts with it. A ``ClientError``
    with an unknown code and no retryable status is returned unchanged.
    """
    if not isinstance(error, ClientError):
        return Throttled(f"{subject}: no answer from Bedrock: {error}")
    code, message = code_and_message(error)
    kind = _PIPELINE_ERRORS.get(code)
    # Proxies and load balancers answer with codes that are not in Bedrock's service model.
    if kind is None and (http_status(error) == 429 or http_status(error) >= 500):
        kind = Throttled
    return kind(f"{subject}: {message}") if kind else error


@contextmanager
def pipeline_errors(subject: str) -> Iterator[None]:
    """Raise the pipeline's exception for an error of a Bedrock call in the ``with`` block.

    ``subject`` is what the call is about; see ``to_pipeline_error``.
    """
    try:
        yield
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, subject) from error
