"""Ask a model about the images of one batch. Answers that are stored already are reused, not paid for again.

LabelImages and PredictTestImages differ only in their targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from distillation import keys, ledger
from distillation.answers.rejection import prediction_rejection
from distillation.errors import BatchUnfinished, Throttled
from distillation.inference.converse import AnswerRejected, Question, ask, s3_source
from distillation.inference.label_lock import LabelLock, find_answer
from distillation.inference.rate_limit import BatchLimits, DeadlineReached, RateLimitedClient, tokens_per_call
from distillation.inference.reservation import Reservation, maximum_usd
from distillation.inference.tier_choice import TierChoice
from distillation.models import catalog
from distillation.models.service_tier import dearest_tier
from distillation.records import (
    Answer,
    AnswerLine,
    ImageSource,
    Labeler,
    LedgerPart,
    Prompt,
    RequestedTier,
    Run,
    ServiceTier,
)
from distillation.storage import Bucket
from distillation.telemetry import CallCounts, count_call_metrics

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef

_LOCKED_RETRY_SECONDS = 2
"""Seconds between two attempts at images that another run has locked."""


@dataclass(frozen=True)
class Target:
    """A model to ask, and the S3 keys of its answers."""

    name: str
    """``teacher``, ``ceiling``, ``base``, ``n<size>``, or ``tuned`` in a run with ``apply``."""
    model: str
    """Model id, or ARN of a deployment or inference profile."""
    billed_as: str
    """Model id in the price table."""
    labeler: Labeler
    prompt: Prompt
    """Prompt to ask with."""
    answer_key: Callable[[str], str]
    """Return the key of the answer about an image."""
    retry_key: Callable[[str], str] | None = None
    """Return the key of the second answer, after the first one was rejected; None if there is no second question."""
    tier: RequestedTier = "default"
    """Service tier to ask on; ``auto`` for flex first and the standard tier where flex fails."""
    images_by: ImageSource | None = None
    """Source of the images in the calls; None for that of the family."""
    sample: int = 0
    """Number of the answer, from 0, where one image is asked about several times."""
    rejection: Callable[[Run, Answer], str | None] = prediction_rejection
    """Return why an answer is not valid, or None if it is."""
    rejections: Mapping[str, str] = field(default_factory=dict)
    """Reasons why the first answers were rejected, keyed by image; empty for the first question."""


@dataclass(frozen=True)
class ImageBatch:
    """Questions of one step of a run about the images of one batch."""

    run: Run
    step: str
    """State that asks, as named in the ledger."""
    data: Bucket
    client: BedrockRuntimeClient
    limits: BatchLimits
    _tiers: dict[tuple[str, RequestedTier], TierChoice] = field(default_factory=dict)
    """Tier choice of each model, which later questions of the batch continue."""

    def ask(self, target: Target, images: list[str]) -> list[AnswerLine]:
        """Ask ``target`` about each image, and return one line per image, in order.

        If an answer is rejected and ``target`` has a ``retry_key``, it is asked once more, with the reason. The
        ledger lists all costs, also when this raises. Raises ``OverBudget`` before the costs exceed ``max_usd``. At
        the deadline this raises ``BatchUnfinished``, or ``Throttled`` if no call was answered.
        """
        lines = self._ask_once(target, images)
        rejections = {line.image: line.reason for line in lines if line.reason and line.text is not None}
        if target.retry_key is None or not rejections:
            return lines
        retry = replace(target, answer_key=target.retry_key, rejections=rejections)
        second_lines = {line.image: line for line in self._ask_once(retry, list(rejections))}
        return [second_lines.get(line.image, line) for line in lines]

    def _ask_once(self, target: Target, images: list[str]) -> list[AnswerLine]:
        tokens = tokens_per_call(self.run, target.billed_as, target.labeler, target.prompt)
        tiers = self._tiers.setdefault((target.model, target.tier), TierChoice(target.tier, self.limits.clock.now))
        caller = RateLimitedClient(self.run.quota(target.billed_as), tokens, self.limits, tiers)
        usd = maximum_usd(self.run, target.billed_as, target.labeler, len(images), target.tier, target.prompt)
        reservation = Reservation(self.run, self.step, usd, self.data)
        lines: dict[str, AnswerLine] = {}

        def answer(image: str) -> None:
            if line := self._line(target, image, caller, reservation):
                lines[image] = line

        try:
            missing = images
            while missing:
                with self.limits.clock.pool(caller.threads) as pool:
                    list(pool.map(answer, missing))
                missing = [image for image in images if image not in lines]
                if missing:  # Another run has locked these images. Soon their answers are stored.
                    caller.wait_until(self.limits.clock.now() + _LOCKED_RETRY_SECONDS)
        except DeadlineReached as error:
            error_class = BatchUnfinished if caller.answers else Throttled
            progress = f"{len(lines)} of {len(images)} images have an answer from {target.model}"
            raise error_class(f"{progress}: {error}") from error
        finally:
            reused = sum(line.reused for line in lines.values())
            reservation.settle(*self._ledger_parts(target, caller, reused))
            count_call_metrics(caller.answers, CallCounts(caller.throttled.total(), caller.unavailable))
        return [lines[image] for image in images]

    def _line(
        self, target: Target, image: str, caller: RateLimitedClient, reservation: Reservation
    ) -> AnswerLine | None:
        """Return the line of one image, or None while another run asks about the image."""
        key = target.answer_key(image)
        if stored_answer := find_answer(key, image, self.data):
            return self._answer_line(target, stored_answer, reused=True)
        reservation.reserve()
        lock = LabelLock(self.data, key, image, self.run.name, self.limits.clock.now)
        if not lock.acquire():
            return None
        try:
            answer = self._ask_and_store(target, image, caller, lock)
        except AnswerRejected as error:
            return AnswerLine(
                image=image, answerer=target.name, sample=target.sample, status="refused", reason=str(error)
            )
        return self._answer_line(target, answer, reused=False)

    def _ask_and_store(self, target: Target, image: str, caller: RateLimitedClient, lock: LabelLock) -> Answer:
        """Ask about one image and return the stored answer.

        If another batch stored an answer first, return that one. This batch's answer is billed nevertheless. A damaged
        answer is replaced.
        """

        def send(tier: ServiceTier) -> Answer:
            lock.extend()
            return ask(self.client, target.model, target.labeler, replace(question, tier=tier))

        try:
            source, rejection = self._image_source(target, image), target.rejections.get(image)
            question = Question(target.prompt, image, source, rejection)
            answer = caller.call(send)
        except Exception:
            lock.release()
            raise
        key = target.answer_key(image)
        if self.data.put_if_absent(key, answer.model_dump_json().encode()):
            return answer
        if stored_answer := find_answer(key, image, self.data):
            return stored_answer
        self.data.write_document(key, answer)
        return answer

    def _image_source(self, target: Target, image: str) -> ImageSourceTypeDef:
        """Return an image as the target accepts it: as an S3 location or as bytes.

        Raises ``AnswerRejected`` if the bytes of the image are damaged or too large for a request.
        """
        family, key = catalog.get_model(target.billed_as).family, keys.image_key(self.run.image_side, image)
        if (target.images_by or family.images_by) == "s3Location":
            return s3_source(self.run, key, self.data)
        body = self.data.get_or_none(key)
        if body is not None and len(body) > family.maximum_inline_bytes:
            raise AnswerRejected(
                f"the image has {len(body):,} bytes, more than the {family.maximum_inline_bytes:,} "
                f"that {target.billed_as} accepts in a request"
            )
        if body is None or sha256(body).hexdigest() != image:
            raise AnswerRejected(
                f"s3://{self.data.name}/{key} was {'deleted' if body is None else 'changed'} after ResizePhotos. "
                "A new run writes it again from the photo"
            )
        return {"bytes": body}

    def _answer_line(self, target: Target, answer: Answer, *, reused: bool) -> AnswerLine:
        reason = target.rejection(self.run, answer)
        return AnswerLine(
            image=answer.image,
            answerer=target.name,
            status="refused" if reason else "ok",
            sample=target.sample,
            text=answer.text,
            reason=reason,
            reused=reused,
            usage=answer.usage,
            latency_ms=answer.latency_ms,
        )

    def _ledger_parts(self, target: Target, caller: RateLimitedClient, reused: int) -> list[LedgerPart]:
        """Return one part for each tier that answered or throttled; the first part has the reused answers."""
        used: set[ServiceTier] = {*(answer.tier for answer in caller.answers), *(+caller.throttled)}
        parts: list[LedgerPart] = []
        tiers: list[ServiceTier] = sorted(used)
        for tier in tiers or [dearest_tier(target.tier)]:
            usages = [answer.usage for answer in caller.answers if answer.tier == tier]
            input_tokens = sum(usage.input_tokens for usage in usages)
            output_tokens = sum(usage.output_tokens for usage in usages)
            part = LedgerPart(
                step=self.step,
                model=target.billed_as,
                tier=tier,
                calls=len(usages),
                throttled=caller.throttled[tier],
                reused=0 if parts else reused,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                usd=ledger.inference_usd(target.billed_as, input_tokens, output_tokens, tier),
            )
            parts.append(part)
        return parts
