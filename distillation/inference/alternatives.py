"""Alternatives to training, which the baseline round asks about the test images that the ceiling is measured on."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from distillation import keys
from distillation.errors import (
    AccessDenied,
    AccessPending,
    DailyQuotaExceeded,
    InvalidRequest,
    QuotaExceeded,
    Throttled,
)
from distillation.inference.image_batch import ImageBatch, Target
from distillation.inference.predictions import ceiling_target
from distillation.inference.rate_limit import BatchLimits, DeadlineReached
from distillation.inference.text_examples import read_examples, with_examples
from distillation.inference.untuned import untuned_target
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

NOT_ASKED = "not asked: "
"""Start of the reason in the lines of a model that could not be asked."""
_CANNOT_BE_ASKED = (AccessDenied, AccessPending, DailyQuotaExceeded, InvalidRequest, QuotaExceeded)
"""Errors after which another student is left out. The run needs the answers of its own student and of the teacher."""


_PATIENCE_SECONDS = 120
"""Seconds after which another student that is throttled is left out, unless it has answered once."""


def alternative_targets(run: Run, data: Bucket) -> list[Target]:
    """Return the alternatives to training as targets, ``base`` first.

    ``base`` is the student with its own prompt, which the training rounds ask as well. The others have the teacher's
    prompt: the student if its own prompt differs, the student with examples if a training image has a valid label, and
    the stage's other students. A target that asks the same as another one or as the teacher is left out.
    """
    questions = [("base", run.student, run.student_prompt), ("base-teacher-prompt", run.student, run.prompt)]
    if examples := read_examples(run, data):
        questions.append(("examples", run.student, with_examples(run.prompt, examples)))
    questions += [(_answerer(model), model, run.prompt) for model in run.alternatives]
    base, *others = [untuned_target(run, *question) for question in questions]
    distinct = {base.labeler.id: base}
    for target in others:
        if target.labeler.id != run.teacher.id:
            distinct.setdefault(target.labeler.id, target)
    return list(distinct.values())


def ask_alternatives(
    run: Run,
    images: list[str],
    data: Bucket,
    client: BedrockRuntimeClient,
    limits: BatchLimits,
) -> list[AnswerLine]:
    """Ask the alternatives to training and the teacher about each image; write and return the lines of the batch.

    If another student than the run's cannot be asked, its lines have a reason that starts with ``NOT_ASKED``. Raises
    the same errors as ``ImageBatch.ask``.
    """
    batch = ImageBatch(run, "PredictTestImages", data, client, limits)
    targets = [*alternative_targets(run, data), ceiling_target(run)]
    lines = [line for target in targets for line in _ask(batch, target, images)]
    data.write_lines(
        keys.part_key(run.name, "baseline", keys.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def _ask(batch: ImageBatch, target: Target, images: list[str]) -> list[AnswerLine]:
    if target.billed_as in (batch.run.student, batch.run.ceiling.model):
        return batch.ask(target, images)
    try:
        lines = _ask_first(batch, target, images[0])
        return [*lines, *batch.ask(target, images[1:])] if len(images) > 1 else lines
    except _CANNOT_BE_ASKED as error:
        logger.warning("model left out of the baseline", run=batch.run.name, model=target.model, error=str(error))
        reason = f"{NOT_ASKED}{error}"
        return [AnswerLine(image=image, answerer=target.name, status="refused", reason=reason) for image in images]


def _ask_first(batch: ImageBatch, target: Target, image: str) -> list[AnswerLine]:
    """Ask another student about its first image. Raises ``QuotaExceeded`` if it is throttled for too long."""
    limits = batch.limits
    patience_ends = limits.clock.now() + _PATIENCE_SECONDS
    deadline = min(limits.deadline, patience_ends)
    try:
        return replace(batch, limits=replace(limits, deadline=deadline)).ask(target, [image])
    except Throttled as error:
        # Otherwise the function's own deadline ended the wait, or other batches have reserved the budget. Both are
        # retried.
        if deadline < patience_ends or not isinstance(error.__cause__, DeadlineReached):
            raise
        minutes = _PATIENCE_SECONDS // 60
        raise QuotaExceeded(
            f"{target.model}: no answer in {minutes} minutes, because Bedrock throttles all calls or another run asks "
            "the same. The account's quota of the model may be 0."
        ) from error


def _answerer(model: str) -> str:
    """Return the name of a model in answers: its id with characters that S3 keys may have."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", model)
