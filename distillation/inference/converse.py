"""Ask a model about an image with Bedrock's Converse API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from distillation.answers.reserved_words import find_reserved_words
from distillation.aws_errors import ACCESS_CAUSES, code_and_message, http_status
from distillation.errors import (
    AccessDenied,
    AccessPending,
    DailyQuotaExceeded,
    DistillationError,
    InvalidRequest,
    Throttled,
)
from distillation.records import Answer, Labeler, Prompt, Run, ServiceTier, Usage
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef, MessageTypeDef


class AnswerRejected(DistillationError):
    """Bedrock or the model did not answer about one image, and a retry will not help. The image is set aside."""


class ImageSourceRefused(InvalidRequest):
    """The model does not take images from the source that was used, such as ``s3Location``."""


class Unavailable(Throttled):
    """Bedrock failed or could not be reached, but not because of a quota. Try again later."""


class NoAnswer(Unavailable):
    """The model failed to answer about this image. A few retries may succeed."""


RETRYABLE: dict[str, type[Throttled]] = {
    "ThrottlingException": Throttled,
    "ServiceUnavailableException": Unavailable,
    "InternalServerException": Unavailable,
    "ModelNotReadyException": Unavailable,
    "ModelTimeoutException": NoAnswer,
    "ModelErrorException": NoAnswer,
}
"""Errors to raise for the error codes of Converse after which a call is retried."""


_TOKENS_PER_DAY = "tokens per day"
"""Words of a ThrottlingException for a used-up daily quota. From public reports; AWS does not document them."""
DAILY_QUOTA_CAUSES = (
    "Either the account's tokens per day for this model are used up, and are available again within 24 hours, or the "
    "quota is 0, as in some new accounts. Compare 'Model invocation max tokens per day' in Service Quotas, Amazon "
    "Bedrock. If it is 0 or too low, open a case with AWS Support"
)
"""Both causes of a used-up daily quota, and what to do. Bedrock's message is the same for both."""

_REFUSALS_OF_EVERY_IMAGE: tuple[tuple[re.Pattern[str], type[DistillationError], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, remedy)
    for pattern, kind, remedy in (
        (
            r"operation not allowed",
            AccessDenied,
            "AWS has not enabled this account for Amazon Bedrock, or has blocked it. Open a case with AWS Support.",
        ),
        (r"use.?case (details|form)", AccessDenied, ACCESS_CAUSES),
        (
            r"on-demand throughput",
            InvalidRequest,
            "Use an inference profile of the model, whose id starts with a prefix such as us. or global.",
        ),
        (
            r"model identifier|support the model",
            InvalidRequest,
            "Check that the id is right and that the Region has the model.",
        ),
        (
            r"(?=.*(s3.?location|s3.?uri|\bsource\b))"
            r"(?=.*(support|permitted|allowed|extraneous|unknown|malformed|invalid))",
            ImageSourceRefused,
            "The model does not take images from this source.",
        ),
        (
            r"inferenceConfig|temperature|top_?p\b|max_?tokens|maximum tokens you requested|service ?tier"
            r"|extraneous key",
            InvalidRequest,
            "The model does not accept this parameter. Change max_tokens, temperature or service_tier in the request.",
        ),
    )
)
"""Patterns of error messages that concern every image, with the error to raise and its remedy; the first match counts.

The messages are from public reports; AWS does not document them.
"""


@dataclass(frozen=True)
class Question:
    """A question about one image."""

    prompt: Prompt
    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    source: ImageSourceTypeDef
    rejection: str | None = None
    """Reason why an earlier answer was rejected, or None if this is the first question about the image."""
    tier: ServiceTier = "default"


def s3_source(run: Run, key: str, data: Bucket) -> ImageSourceTypeDef:
    """Return an object of the Data bucket as an image source."""
    return {"s3Location": {"uri": f"s3://{data.name}/{key}", "bucketOwner": run.account}}


def ask(client: BedrockRuntimeClient, model: str, labeler: Labeler, question: Question) -> Answer:
    """Ask a model about one image, with the inference settings of ``labeler``.

    ``model`` is a model id, or the ARN of a deployment or inference profile.

    Raises ``Throttled`` or ``AccessPending`` if a retry may succeed, and ``DailyQuotaExceeded`` if one may succeed
    tomorrow. Raises ``AccessDenied`` or ``InvalidRequest`` if every question to the model would fail, and
    ``AnswerRejected`` if only this image fails.
    """
    try:
        response = client.converse(
            modelId=model,
            system=[{"text": question.prompt.system}],
            messages=[_message(question)],
            inferenceConfig={"maxTokens": labeler.max_tokens, "temperature": labeler.temperature},
            **_service_tier(question),
        )
    except ReadTimeoutError as error:
        raise NoAnswer(f"{model} did not answer before the read timeout: {error}") from error
    except (ConnectionError, HTTPClientError, ResponseParserError) as error:
        raise Unavailable(f"{model}: no valid response from Bedrock: {error}") from error
    except ClientError as error:
        raise to_answer_error(error, model) from error
    return Answer(
        model=model,
        image=question.image,
        text=_text(response),
        stop_reason=response["stopReason"],
        usage=Usage(
            input_tokens=response["usage"]["inputTokens"],
            output_tokens=response["usage"]["outputTokens"],
        ),
        latency_ms=response.get("metrics", {}).get("latencyMs"),
        images_by="bytes" if "bytes" in question.source else "s3Location",
        tier=_answering_tier(response, question),
    )


def to_answer_error(error: ClientError, model: str) -> DistillationError:
    """Return the pipeline's error for an error of Converse; ``ask`` lists the classes."""
    code, message = code_and_message(error)
    if error_class := RETRYABLE.get(code) or _retryable_by_status(error):
        if error_class is Throttled and _TOKENS_PER_DAY in message.lower():
            return DailyQuotaExceeded(f"{model}: {message.rstrip('.')}. {DAILY_QUOTA_CAUSES}")
        return error_class(f"{model}: {code}: {message}")
    if code in ("AccessDeniedException", "UnrecognizedClientException"):
        access_error = AccessPending if "try again" in message.lower() else AccessDenied
        return access_error(f"{model}: {message.rstrip('.')}. {ACCESS_CAUSES}")
    if code in ("ResourceNotFoundException", "ValidationException"):
        for pattern, kind, remedy in _REFUSALS_OF_EVERY_IMAGE:
            if pattern.search(message):
                return kind(f"{model}: {message.rstrip('.')}. {remedy}")
    if code == "ResourceNotFoundException":
        return InvalidRequest(f"{model}: {message}")
    return AnswerRejected(f"{code}: {message}")


def _retryable_by_status(error: ClientError) -> type[Throttled] | None:
    """Return the error to raise for an HTTP status after which a call is retried, or None for other statuses.

    Proxies and load balancers answer with codes that are not in Bedrock's service model.
    """
    status = http_status(error)
    if status == 429:
        return Throttled
    return Unavailable if status >= 500 else None


def _service_tier(question: Question) -> dict[str, Any]:
    # The default tier is not sent, because not every model accepts the field.
    return {} if question.tier == "default" else {"serviceTier": {"type": question.tier}}


def _answering_tier(response: Any, question: Question) -> ServiceTier:
    """Return the tier by which Bedrock bills an answer: the standard tier if the response to a flex call names it."""
    served = response.get("serviceTier", {}).get("type")
    return "default" if served == "default" else question.tier


def _message(question: Question) -> MessageTypeDef:
    text = question.prompt.user
    if reason := question.rejection:
        # Quoting a reserved word could make the model repeat it.
        quotable_reason = "it contains words that are reserved" if find_reserved_words(reason) else reason
        text += f"\n\nAn earlier answer was not accepted: {quotable_reason}. Answer again, exactly as asked above."
    return {"role": "user", "content": [{"text": text}, {"image": {"format": "jpeg", "source": question.source}}]}


def _text(response: Any) -> str:
    blocks = response["output"]["message"]["content"]
    text = "".join(block.get("text", "") for block in blocks).strip()
    # An answer that was cut off may end with half a surrogate pair, which cannot be encoded as UTF-8.
    return text.encode(errors="replace").decode()
