"""Ask a model about an image, and tell an answer that counts from one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from lambdas.shared.bedrock_errors import code_and_message
from lambdas.shared.errors import AccessRefused, BadRequest, DistillationError, Throttled
from lambdas.shared.keywords import keywords
from lambdas.shared.records import Answer, Labeler, Prompt, Usage
from lambdas.shared.reserved_words import reserved_words

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import MessageTypeDef

MINIMUM_KEYWORDS = 3

_HEALS = {
    "ThrottlingException",
    "ServiceUnavailableException",
    "InternalServerException",
    "ModelTimeoutException",
    "ModelNotReadyException",
    "ModelErrorException",
}


class AnswerRefused(DistillationError):
    """A model answered, or Bedrock refused, in a way that makes this one image unusable."""


def ask(
    client: BedrockRuntimeClient,
    model: str,
    labeler: Labeler,
    prompt: Prompt,
    image: dict[str, str],
) -> Answer:
    """Ask ``model`` about one image, given as ``{sha256, uri, owner}``.

    ``model`` is a model id or the ARN of a deployment. Raises ``Throttled`` for what heals,
    ``AccessRefused`` or ``BadRequest`` for what is wrong with all, ``AnswerRefused`` for this image.
    """
    question: MessageTypeDef = {
        "role": "user",
        "content": [
            {"text": prompt.user},
            {
                "image": {
                    "format": "jpeg",
                    "source": {"s3Location": {"uri": image["uri"], "bucketOwner": image["owner"]}},
                }
            },
        ],
    }
    try:
        response = client.converse(
            modelId=model,
            system=[{"text": prompt.system}],
            messages=[question],
            inferenceConfig={"maxTokens": labeler.max_tokens, "temperature": labeler.temperature},
        )
    except (ConnectionError, HTTPClientError) as error:
        raise Throttled(f"no answer from Bedrock about {model}: {error}") from error
    except ClientError as error:
        raise _translated(error, model) from error
    return Answer(
        model=model,
        image=image["sha256"],
        text=_text(response),
        stop_reason=response["stopReason"],
        usage=Usage(
            input_tokens=response["usage"]["inputTokens"],
            output_tokens=response["usage"]["outputTokens"],
        ),
        latency_ms=response["metrics"]["latencyMs"],
    )


def fault(answer: Answer) -> str | None:
    """Return why an answer does not count, or None when it does."""
    if answer.stop_reason != "end_turn":
        return f"the answer ended with {answer.stop_reason}, not end_turn"
    if found := reserved_words(answer.text):
        return f"the answer holds {', '.join(found)}, which Bedrock reserves"
    if len(keywords(answer.text)) < MINIMUM_KEYWORDS:
        return f"the answer is no list of keywords: {answer.text[:80]!r}"
    return None


def _text(response: Any) -> str:
    blocks = response["output"]["message"]["content"]
    return "".join(block.get("text", "") for block in blocks).strip()


def _translated(error: ClientError, model: str) -> DistillationError:
    code, message = code_and_message(error)
    if code in _HEALS:
        return Throttled(f"{model}: {code}: {message}")
    if code in ("AccessDeniedException", "UnrecognizedClientException"):
        return AccessRefused(f"{model}: {message}; give the account access to the model in Bedrock")
    if code == "ResourceNotFoundException":
        return BadRequest(f"{model}: {message}")
    return AnswerRefused(f"{code}: {message}")
