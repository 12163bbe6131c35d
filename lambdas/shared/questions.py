"""Ask about the images of one batch: what was answered before is not asked again.

Label and Predict differ only in who is asked and where the answers are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lambdas.shared import families, layout, ledger
from lambdas.shared.answers import AnswerRefused, Question, ask, fault
from lambdas.shared.budget import Reservation, most_usd
from lambdas.shared.objects import Objects
from lambdas.shared.records import Answer, AnswerLine, Labeler, LedgerPart, Run, ServiceTier
from lambdas.shared.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef

OVERLAPPING_CALLS = 4
"""Calls under way at once in one function: a call waits for the model nearly all of its time."""


@dataclass(frozen=True)
class Answerer:
    """Whom to ask, and where each answer is kept."""

    name: str
    """``teacher``, ``ceiling``, ``base`` or ``n<size>``."""
    model: str
    """Model id or ARN of a deployment."""
    billed_as: str
    """Model id in the price table."""
    labeler: Labeler
    key: Callable[[str], str]
    """From an image to the key of its answer."""
    again: Callable[[str], str] | None = None
    """The same of the answer that is asked for when the first does not count; None for who is asked once."""
    tier: ServiceTier = "default"
    sample: int = 0
    """Which of the teacher's answers about the same image this is."""
    complaints: Mapping[str, str] = field(default_factory=dict)
    """By image, why its first answer did not count, where this asks for the second."""


@dataclass(frozen=True)
class Outcome:
    """One line of the part, and the answer that was paid for to get it, if any was."""

    line: AnswerLine
    paid: Answer | None


def ask_all(
    run: Run,
    step: str,
    answerer: Answerer,
    images: list[str],
    data: Objects,
    client: BedrockRuntimeClient,
) -> list[AnswerLine]:
    """Return one line per image, in order; what was paid is in the ledger even when this raises.

    Where an answer does not count, who may be asked again is told why, once. Raises ``OverBudget`` before the ledger
    passes ``max_usd``.
    """
    lines = _ask_once(run, step, answerer, images, data, client)
    complaints = {line.image: line.reason for line in lines if line.reason and line.text is not None}
    if answerer.again is None or not complaints:
        return lines
    second = replace(answerer, key=answerer.again, complaints=complaints)
    better = {line.image: line for line in _ask_once(run, step, second, list(complaints), data, client)}
    return [better.get(line.image, line) for line in lines]


def _ask_once(
    run: Run,
    step: str,
    answerer: Answerer,
    images: list[str],
    data: Objects,
    client: BedrockRuntimeClient,
) -> list[AnswerLine]:
    paid: list[Answer] = []
    most = most_usd(run, answerer.billed_as, answerer.labeler, len(images), answerer.tier)
    budget = Reservation(run, step, most, data)

    def line(image: str) -> AnswerLine:
        outcome = _answer(run, answerer, image, data, client, budget)
        if outcome.paid:
            paid.append(outcome.paid)
        return outcome.line

    lines: list[AnswerLine] = []
    try:
        with ThreadPoolExecutor(OVERLAPPING_CALLS) as pool:
            lines = list(pool.map(line, images))
    finally:
        budget.settle(_part(step, answerer, paid, sum(line.reused for line in lines)))
    return lines


def _answer(
    run: Run, answerer: Answerer, image: str, data: Objects, client: BedrockRuntimeClient, budget: Reservation
) -> Outcome:
    key = answerer.key(image)
    if (kept := data.find(key)) is not None:
        return Outcome(_line(run, answerer, Answer.model_validate_json(kept), reused=True), paid=None)
    budget.hold()
    try:
        source = _source(run, answerer, image, data)
        question = Question(run.prompt, image, source, answerer.complaints.get(image), answerer.tier)
        answer = ask(client, answerer.model, answerer.labeler, question)
    except AnswerRefused as refusal:
        logger.info("answer refused", run=run.run, image=image, reason=str(refusal))
        line = AnswerLine(
            image=image, answerer=answerer.name, sample=answerer.sample, status="refused", reason=str(refusal)
        )
        return Outcome(line, paid=None)
    counts = answer
    if not data.claim(key, answer.model_dump_json().encode()):
        # Another batch was faster: its answer is the one that counts, ours is paid all the same.
        counts = Answer.model_validate_json(data.find(key) or answer.model_dump_json())
    return Outcome(_line(run, answerer, counts, reused=False), paid=answer)


def _source(run: Run, answerer: Answerer, image: str, data: Objects) -> ImageSourceTypeDef:
    """Give an image as the model's family takes it; raises ``AnswerRefused`` for one too large to be sent along."""
    family, key = families.model(answerer.billed_as).family, layout.image(run.side, image)
    if family.images_by == "s3Location":
        return {"s3Location": {"uri": f"s3://{data.bucket}/{key}", "bucketOwner": run.account}}
    body = data.read(key)
    if len(body) > family.maximum_inline_bytes:
        raise AnswerRefused(
            f"the image has {len(body):,} bytes, more than the {family.maximum_inline_bytes:,} "
            f"that {answerer.billed_as} takes in a request"
        )
    return {"bytes": body}


def _line(run: Run, answerer: Answerer, answer: Answer, *, reused: bool) -> AnswerLine:
    reason = fault(run, answer)
    return AnswerLine(
        image=answer.image,
        answerer=answerer.name,
        status="refused" if reason else "ok",
        format=run.answer_format,
        sample=answerer.sample,
        text=answer.text,
        reason=reason,
        reused=reused,
        usage=answer.usage,
        latency_ms=answer.latency_ms,
    )


def _part(step: str, answerer: Answerer, paid: list[Answer], reused: int) -> LedgerPart:
    input_tokens = sum(answer.usage.input_tokens for answer in paid)
    output_tokens = sum(answer.usage.output_tokens for answer in paid)
    return LedgerPart(
        step=step,
        model=answerer.billed_as,
        tier=answerer.tier,
        calls=len(paid),
        reused=reused,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        usd=ledger.inference_usd(answerer.billed_as, input_tokens, output_tokens, answerer.tier),
    )
