"""Ask a model about an image, and tell an answer that counts from one that does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from distillation.answers.formats import FORMATS
from distillation.answers.refusals import find_refusal
from distillation.answers.reserved_words import find_reserved_words
from distillation.bedrock_errors import code_and_message, http_status
from distillation.errors import AccessDenied, DistillationError, InvalidRequest, Throttled
from distillation.records import Answer, Labeler, Prompt, Run, ServiceTier, Usage

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef, MessageTypeDef


class AnswerRejected(DistillationError):
    """A model answered, or Bedrock refused, in a way that makes this one image unusable."""


class Unavailable(Throttled):
    """Bedrock, or the way to it, failed for reasons of its own; later will work."""


class NoAnswer(Unavailable):
    """The model failed at this image; a few attempts more are worth it."""


RETRYABLE: dict[str, type[Throttled]] = {
    "ThrottlingException": Throttled,
    "ServiceUnavailableException": Unavailable,
    "InternalServerException": Unavailable,
    "ModelNotReadyException": Unavailable,
    "ModelTimeoutException": NoAnswer,
    "ModelErrorException": NoAnswer,
}


@dataclass(frozen=True)
class Question:
    """What is asked about one image."""

    prompt: Prompt
    image: str
    source: ImageSourceTypeDef
    rejection: str | None = None
    """Why an earlier answer did not count, where there was one."""
    tier: ServiceTier = "default"


def ask(client: BedrockRuntimeClient, model: str, labeler: Labeler, question: Question) -> Answer:
    """Ask ``model`` about one image.

    ``model`` is a model id or the ARN of a deployment. Raises ``Throttled`` for what heals,
    ``AccessDenied`` or ``InvalidRequest`` for what is wrong with all, ``AnswerRefused`` for this image.
    """
    try:
        response = client.converse(
            modelId=model,
            system=[{"text": question.prompt.system}],
            messages=[_message(question)],
            inferenceConfig={"maxTokens": labeler.max_tokens, "temperature": labeler.temperature},
            **_tier(question),
        )
    except ReadTimeoutError as error:
        raise NoAnswer(f"{model} did not answer in time: {error}") from error
    except (ConnectionError, HTTPClientError, ResponseParserError) as error:
        raise Unavailable(f"no answer from Bedrock about {model}: {error}") from error
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
        latency_ms=response["metrics"]["latencyMs"],
    )


def rejection(run: Run, answer: Answer) -> str | None:
    """Return why an answer does not count in a run, or None when it does."""
    if answer.stop_reason != "end_turn":
        return f"the answer ended with {answer.stop_reason}, not end_turn"
    found = text_rejection(run, answer.text)
    return f"the answer {found}" if found else None


def text_rejection(run: Run, text: str) -> str | None:
    """Return why a text, whoever wrote it, is no label for a run, as ``is no list``; or None when it is one."""
    if found := find_reserved_words(text):
        return f"holds {', '.join(found)}, which Bedrock reserves"
    if found := find_refusal(text):
        return f"is a refusal: {found!r}"
    return FORMATS[run.answer_format].rejection(text, run.limits)


def _tier(question: Question) -> dict[str, Any]:
    # Said only where asked for: not every model knows the field.
    return {} if question.tier == "default" else {"serviceTier": {"type": question.tier}}


def _message(question: Question) -> MessageTypeDef:
    text = question.prompt.user
    if complaint := question.rejection:
        # Quoting a reserved word would tempt the model to say it again.
        said = "it holds words that are reserved" if find_reserved_words(complaint) else complaint
        text += f"\n\nAn earlier answer was not accepted: {said}. Answer again, exactly as asked above."
    return {"role": "user", "content": [{"text": text}, {"image": {"format": "jpeg", "source": question.source}}]}


def _text(response: Any) -> str:
    blocks = response["output"]["message"]["content"]
    text = "".join(block.get("text", "") for block in blocks).strip()
    # Half a character, where an answer was cut off, could not be kept.
    return text.encode(errors="replace").decode()


def to_answer_error(error: ClientError, model: str) -> DistillationError:
    """Return the failure that an error of Converse means: what heals, what is wrong with all, or with this image."""
    code, message = code_and_message(error)
    if kind := RETRYABLE.get(code) or _healing_status(error):
        return kind(f"{model}: {code}: {message}")
    if code in ("AccessDeniedException", "UnrecognizedClientException"):
        return AccessDenied(f"{model}: {message}; give the account access to the model in Bedrock")
    if code == "ResourceNotFoundException":
        return InvalidRequest(f"{model}: {message}")
    return AnswerRejected(f"{code}: {message}")


def _healing_status(error: ClientError) -> type[Throttled] | None:
    """Tell by the HTTP status what heals, for codes that no service model names: proxies answer with such."""
    status = http_status(error)
    if status == 429:
        return Throttled
    return Unavailable if status >= 500 else None
