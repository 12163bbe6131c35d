"""Ask about the images of one batch: what was answered before is not asked again.

Label and Predict differ only in who is asked and where the answers are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from distillation import keys, ledger
from distillation.errors import BatchUnfinished, Throttled
from distillation.inference.budget import Reservation, maximum_usd
from distillation.inference.converse import AnswerRejected, Question, ask, rejection
from distillation.inference.rate_limit import BatchLimits, DeadlineReached, RateLimitedClient, tokens_per_call
from distillation.models import catalog
from distillation.records import Answer, AnswerLine, Labeler, LedgerPart, Run, ServiceTier
from distillation.storage import Bucket
from distillation.telemetry import count_calls

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef

_TURN_SECONDS = 300
"""So long another run leaves an image to the one that asks about it."""
_LOOK_AGAIN_SECONDS = 2


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
class Batch:
    """What is the same for all that a batch asks, whoever is asked."""

    run: Run
    step: str
    data: Bucket
    client: BedrockRuntimeClient
    shift: BatchLimits


@dataclass(frozen=True)
class _Asking:
    """One answerer asked by a batch; ``paid`` collects the answers that were paid for."""

    batch: Batch
    answerer: Answerer
    caller: RateLimitedClient
    budget: Reservation
    paid: list[Answer] = field(default_factory=list)


def ask_all(batch: Batch, answerer: Answerer, images: list[str]) -> list[AnswerLine]:
    """Return one line per image, in order; what was paid is in the ledger even when this raises.

    Where an answer does not count, who may be asked again is told why, once. Raises ``OverBudget`` before the ledger
    passes ``max_usd``. When the shift ends first, what is left is told by ``BatchUnfinished``, or by ``Throttled`` if
    nothing was answered.
    """
    lines = _ask_once(batch, answerer, images)
    complaints = {line.image: line.reason for line in lines if line.reason and line.text is not None}
    if answerer.again is None or not complaints:
        return lines
    second = replace(answerer, key=answerer.again, complaints=complaints)
    better = {line.image: line for line in _ask_once(batch, second, list(complaints))}
    return [better.get(line.image, line) for line in lines]


def _ask_once(batch: Batch, answerer: Answerer, images: list[str]) -> list[AnswerLine]:
    run, model, labeler = batch.run, answerer.billed_as, answerer.labeler
    caller = RateLimitedClient(run.quota(model), tokens_per_call(run, model, labeler), batch.shift)
    most = maximum_usd(run, model, labeler, len(images), answerer.tier)
    asking = _Asking(batch, answerer, caller, Reservation(run, batch.step, most, batch.data))
    lines: dict[str, AnswerLine] = {}
    try:
        _ask_each(asking, images, lines)
    except DeadlineReached as error:
        kind = BatchUnfinished if asking.paid else Throttled
        raise kind(f"{len(lines)} of {len(images)} images have an answer from {answerer.model}: {error}") from error
    finally:
        asking.budget.settle(_part(asking, sum(line.reused for line in lines.values())))
        count_calls(asking.paid, caller.counts)
    return [lines[image] for image in images]


def _ask_each(asking: _Asking, images: list[str], lines: dict[str, AnswerLine]) -> None:
    """Fill ``lines``; images that another run asks about come last, when that run may be done with them."""

    def settle(image: str) -> None:
        if line := _line_about(asking, image):
            lines[image] = line

    left = images
    while left:
        with asking.batch.shift.clock.pool(asking.caller.threads) as pool:
            list(pool.map(settle, left))
        left = [image for image in images if image not in lines]
        if left:
            asking.caller.wait_until(asking.batch.shift.clock.now() + _LOOK_AGAIN_SECONDS)


def _line_about(asking: _Asking, image: str) -> AnswerLine | None:
    """Return the line of one image; None while another run asks about it."""
    key = asking.answerer.key(image)
    if answer := _kept(asking, key):
        return _line(asking.batch.run, asking.answerer, answer, reused=True)
    asking.budget.reserve()
    if not _take_turn(asking, key):
        return None
    name, sample = asking.answerer.name, asking.answerer.sample
    try:
        return _line(asking.batch.run, asking.answerer, _bought(asking, key, image), reused=False)
    except AnswerRejected as refusal:
        return AnswerLine(image=image, answerer=name, sample=sample, status="refused", reason=str(refusal))


def _kept(asking: _Asking, key: str) -> Answer | None:
    kept = asking.batch.data.get_or_none(key)
    return None if kept is None else Answer.model_validate_json(kept)


def _bought(asking: _Asking, key: str, image: str) -> Answer:
    """Ask, and keep the answer; where another batch was faster, its answer counts and ours is paid all the same."""
    run, answerer = asking.batch.run, asking.answerer
    try:
        source = _source(run, answerer, image, asking.batch.data)
        question = Question(run.prompt, image, source, answerer.complaints.get(image), answerer.tier)
        answer = asking.caller.call(_in_turn(asking, key, question))
    except Exception:
        _give_turn_back(asking, key)
        raise
    asking.paid.append(answer)
    if asking.batch.data.put_if_absent(key, answer.model_dump_json().encode()):
        return answer
    return _kept(asking, key) or answer


def _in_turn(asking: _Asking, key: str, question: Question) -> Callable[[], Answer]:
    """Return the asking of a question, which renews the turn where waiting has used up half of it."""
    batch, answerer = asking.batch, asking.answerer
    renewed = batch.shift.clock.now()

    def attempt() -> Answer:
        nonlocal renewed
        now = batch.shift.clock.now()
        if now > renewed + _TURN_SECONDS / 2:
            renewed = now
            batch.data.write(keys.lock_key(key), _turn(asking, now + _TURN_SECONDS))
        return ask(batch.client, answerer.model, answerer.labeler, question)

    return attempt


def _take_turn(asking: _Asking, key: str) -> bool:
    """Take the turn to ask for an answer, so that two runs at once do not both pay for it; False: not ours.

    A turn that was not used in time is anybody's; a batch tried again takes its own run's.
    """
    now = asking.batch.shift.clock.now()
    mine = _turn(asking, now + _TURN_SECONDS)
    if asking.batch.data.put_if_absent(keys.lock_key(key), mine):
        return True
    body = asking.batch.data.get_or_none(keys.lock_key(key))
    if body is None:
        return False  # Being written by another this moment.
    taken = json.loads(body)
    if taken["run"] != asking.batch.run.name and taken["until"] > now:
        return False
    asking.batch.data.write(keys.lock_key(key), mine)
    return asking.batch.data.get_or_none(key) is None


def _give_turn_back(asking: _Asking, key: str) -> None:
    asking.batch.data.write(keys.lock_key(key), _turn(asking, 0))


def _turn(asking: _Asking, until: float) -> bytes:
    return json.dumps({"run": asking.batch.run.name, "until": until}).encode()


def _source(run: Run, answerer: Answerer, image: str, data: Bucket) -> ImageSourceTypeDef:
    """Give an image as the model's family takes it; raises ``AnswerRefused`` for one too large to be sent along."""
    family, key = catalog.get_model(answerer.billed_as).family, keys.image_key(run.side, image)
    if family.images_by == "s3Location":
        return {"s3Location": {"uri": f"s3://{data.name}/{key}", "bucketOwner": run.account}}
    body = data.read(key)
    if len(body) > family.maximum_inline_bytes:
        raise AnswerRejected(
            f"the image has {len(body):,} bytes, more than the {family.maximum_inline_bytes:,} "
            f"that {answerer.billed_as} takes in a request"
        )
    return {"bytes": body}


def _line(run: Run, answerer: Answerer, answer: Answer, *, reused: bool) -> AnswerLine:
    reason = rejection(run, answer)
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


def _part(asking: _Asking, reused: int) -> LedgerPart:
    answerer, paid = asking.answerer, asking.paid
    input_tokens = sum(answer.usage.input_tokens for answer in paid)
    output_tokens = sum(answer.usage.output_tokens for answer in paid)
    return LedgerPart(
        step=asking.batch.step,
        model=answerer.billed_as,
        tier=answerer.tier,
        calls=len(paid),
        throttled=asking.caller.counts.throttled,
        reused=reused,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        usd=ledger.inference_usd(answerer.billed_as, input_tokens, output_tokens, answerer.tier),
    )
