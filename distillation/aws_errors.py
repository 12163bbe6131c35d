"""Translate errors of AWS services into the exceptions of ``distillation.errors``.

Answers about images have a table of their own in ``distillation.inference.converse``, which counts every attempt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from distillation.errors import (
    AccessDenied,
    DistillationError,
    InvalidRequest,
    ObjectMissing,
    QuotaExceeded,
    ResourceBusy,
    ServiceUnavailable,
    Throttled,
    excerpt,
)

AWS_FAILURES = (
    ClientError,
    ConnectionError,
    HTTPClientError,
    ResponseParserError,
    FlexibleChecksumError,
    IncompleteReadError,
    HTTPError,
)
"""Exceptions of a boto3 call: an error response, no response, one that cannot be parsed, or a body that breaks off."""

_MESSAGE_CHARACTERS = 1_000
"""Largest number of characters of a message of AWS, which may repeat the input."""
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
    "AccessDenied": AccessDenied,
    "AccessDeniedException": AccessDenied,
    "AuthorizationError": AccessDenied,
    "ConflictException": ResourceBusy,
    "ExpiredToken": AccessDenied,
    "InvalidObjectState": AccessDenied,
    "KMS.DisabledException": AccessDenied,
    "KMS.InvalidStateException": AccessDenied,
    "KMS.KMSInvalidStateException": AccessDenied,
    "KMS.NotFoundException": AccessDenied,
    "NoSuchKey": ObjectMissing,
    "ServiceQuotaExceededException": QuotaExceeded,
    "TooManyTagsException": InvalidRequest,
    "ValidationException": InvalidRequest,
}
"""Exceptions by the service's error code."""
_UNAVAILABLE = {
    "InternalError",
    "InternalServerException",
    "KMSThrottling",
    "KmsThrottlingException",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
"""Error codes after which the same call may succeed later.

Source: "Error responses", Amazon S3 API reference; "Common errors", Amazon SNS and Step Functions API references.
"""


def code_and_message(error: ClientError) -> tuple[str, str]:
    """Return the error code and the message of an error response."""
    details = error.response.get("Error", {})
    return details.get("Code", "Unknown"), details.get("Message", str(error))[:_MESSAGE_CHARACTERS]


def http_status(error: ClientError) -> int:
    """Return the HTTP status of an error response, or 0 if it has none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_not_found(error: Exception) -> bool:
    """Return whether an error of a Bedrock call says that the resource does not exist.

    The API reference lists ``ResourceNotFoundException`` and ``ValidationException`` for a Get operation. It does not
    say which of them an unknown name raises.
    """
    if not isinstance(error, ClientError):
        return False
    code, message = code_and_message(error)
    says_not_found = _NOT_FOUND.search(message) is not None
    return code == "ResourceNotFoundException" or (code == "ValidationException" and says_not_found)


def to_pipeline_error(
    error: Exception, subject: str, unavailable: type[DistillationError] = Throttled
) -> DistillationError | ClientError:
    """Return the pipeline's exception for an error of an AWS call.

    ``subject`` is what the call was about, such as ``job my-run-n65-a1``; the message starts with it. ``unavailable``
    is the class for an outage or throttling: ``Throttled`` of Bedrock, ``ServiceUnavailable`` of other services. A
    ``ClientError`` with an unknown code and no retryable status is returned unchanged.
    """
    subject = excerpt(subject)
    if not isinstance(error, ClientError):
        service = "Bedrock" if unavailable is Throttled else "AWS"
        return unavailable(f"{subject}: no answer from {service}: {error}")
    code, message = code_and_message(error)
    status = http_status(error)
    # Proxies and load balancers answer with codes that are in no service model.
    is_unavailable = code in _UNAVAILABLE or status == 429 or status >= 500
    kind = unavailable if is_unavailable else _PIPELINE_ERRORS.get(code)
    return kind(f"{subject}: {message}") if kind else error


@contextmanager
def pipeline_errors(subject: str, unavailable: type[DistillationError] = Throttled) -> Iterator[None]:
    """Raise the pipeline's exception for an error of an AWS call in the ``with`` block; see ``to_pipeline_error``."""
    try:
        yield
    except AWS_FAILURES as error:
        raise to_pipeline_error(error, subject, unavailable) from error


@contextmanager
def service_errors(subject: str) -> Iterator[None]:
    """Raise the pipeline's exception for every error of a call to S3, SNS or Step Functions in the ``with`` block.

    An outage raises ``ServiceUnavailable``. An error code that the pipeline does not know raises ``AccessDenied`` for
    HTTP status 403, otherwise ``InvalidRequest``; the message then starts with the code.
    """
    try:
        with pipeline_errors(subject, ServiceUnavailable):
            yield
    except ClientError as error:
        code, message = code_and_message(error)
        kind = AccessDenied if http_status(error) == 403 else InvalidRequest
        raise kind(f"{excerpt(subject)}: {code}: {message}") from error
