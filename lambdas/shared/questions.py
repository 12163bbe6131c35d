"""Ask about the images of one batch: what was answered before is not asked again.

Label and Predict differ only in who is asked and where the answers are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambdas.shared import layout, ledger
from lambdas.shared.answers import AnswerRefused, ask, fault
from lambdas.shared.budget import Reservation, most_usd
from lambdas.shared.objects import Objects
from lambdas.shared.records import Answer, AnswerLine, Labeler, LedgerPart, Run
from lambdas.shared.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

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

    Raises ``OverBudget`` before the ledger passes ``max_usd``.
    """
    paid: list[Answer] = []
    most = most_usd(run, answerer.billed_as, answerer.labeler, len(images))
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
        answer = Answer.model_validate_json(kept)
        return Outcome(_line(answerer, answer, reused=True), paid=None)
    budget.hold()
    try:
        answer = ask(client, answerer.model, answerer.labeler, run.prompt, _location(run, image, data))
    except AnswerRefused as refusal:
        logger.info("answer refused", run=run.run, image=image, reason=str(refusal))
        line = AnswerLine(image=image, answerer=answerer.name, status="refused", reason=str(refusal))
        return Outcome(line, paid=None)
    data.claim(key, answer.model_dump_json().encode())
    return Outcome(_line(answerer, answer, reused=False), paid=answer)


def _location(run: Run, image: str, data: Objects) -> dict[str, str]:
    uri = f"s3://{data.bucket}/{layout.image(run.side, image)}"
    return {"sha256": image, "uri": uri, "owner": run.account}


def _line(answerer: Answerer, answer: Answer, *, reused: bool) -> AnswerLine:
    reason = fault(answer)
    return AnswerLine(
        image=answer.image,
        answerer=answerer.name,
        status="refused" if reason else "ok",
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
        calls=len(paid),
        reused=reused,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        usd=ledger.inference_usd(answerer.billed_as, input_tokens, output_tokens),
    )
