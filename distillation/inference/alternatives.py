"""Alternatives to training, which the baseline round asks about the test images that the ceiling is measured on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from distillation import keys
from distillation.errors import AccessDenied, AccessPending, DailyQuotaExceeded, InvalidRequest
from distillation.inference.image_batch import ImageBatch, Target
from distillation.inference.predictions import ceiling_target
from distillation.inference.rate_limit import BatchLimits
from distillation.inference.text_examples import read_examples, with_examples
from distillation.inference.untuned import untuned_target
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

NOT_ASKED = "not asked: "
"""Beginning of the reason of a line if a model could not be asked at all."""
_CANNOT_BE_ASKED = (AccessDenied, AccessPending, DailyQuotaExceeded, InvalidRequest)
"""Errors after which another student is left out. The run needs the answers of its own student and of the teacher."""


def alternative_targets(run: Run, data: Bucket) -> list[Target]:
    """Return the alternatives to training as targets, ``base`` first.

    ``base`` is the student with its prompt, which PredictTestImages asks as well. The others have the teacher's prompt:
    the student if its own is another one, the student with examples if a training image has a valid label, and the
    stage's other students. A question that another target or the teacher answers already is left out.
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
    ceiling: Sequence[str],
    data: Bucket,
    client: BedrockRuntimeClient,
    limits: BatchLimits,
) -> list[AnswerLine]:
    """Ask the alternatives to training and the teacher about ``ceiling``; write and return the lines of the batch.

    ``images`` are all images of the batch, which name its part. If another student than the run's cannot be asked, its
    lines have a reason that starts with ``NOT_ASKED``. Raises the same errors as ``ImageBatch.ask``.
    """
    batch = ImageBatch(run, "PredictTestImages", data, client, limits)
    targets = [*alternative_targets(run, data), ceiling_target(run)] if ceiling else []
    lines = [line for target in targets for line in _ask(batch, target, list(ceiling))]
    data.write_lines(
        keys.part_key(run.name, "baseline", keys.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def _ask(batch: ImageBatch, target: Target, images: list[str]) -> list[AnswerLine]:
    try:
        return batch.ask(target, images)
    except _CANNOT_BE_ASKED as error:
        if target.billed_as in (batch.run.student, batch.run.ceiling.model):
            raise
        logger.warning("model left out of the baseline", run=batch.run.name, model=target.model, error=str(error))
        reason = f"{NOT_ASKED}{error}"
        return [AnswerLine(image=image, answerer=target.name, status="refused", reason=reason) for image in images]


def _answerer(model: str) -> str:
    """Return the name of a model in answers: its id with characters that S3 keys may have."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", model)
