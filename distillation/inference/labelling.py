"""Label the images of one batch. A label that any run has paid for is reused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from distillation import keys
from distillation.answers.rejection import label_rejection
from distillation.inference.image_batch import ImageBatch, Target
from distillation.inference.rate_limit import BatchLimits
from distillation.models.service_tier import available_tier
from distillation.records import Answer, AnswerLine, Run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def label_batch(
    run: Run, images: list[str], data: Bucket, client: BedrockRuntimeClient, limits: BatchLimits
) -> list[AnswerLine]:
    """Ask the teacher ``samples_per_image`` times about each image, and write and return the lines of the batch.

    Raises the same errors as ``ImageBatch.ask``.
    """
    batch = ImageBatch(run, "LabelImages", data, client, limits)
    targets = [teacher_target(run, sample) for sample in range(run.request.samples_per_image)]
    lines = [line for target in targets for line in batch.ask(target, images)]
    data.write_lines(
        keys.part_key(run.name, "label", keys.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def teacher_target(
    run: Run, sample: int, name: str = "teacher", rejection: Callable[[Run, Answer], str | None] = label_rejection
) -> Target:
    """Return the teacher as target, which is asked once more if ``rejection`` rejects its answer.

    Its answers are in the cache of the labeler, under whichever ``name`` it is asked.
    """
    return Target(
        name=name,
        model=run.teacher.invocation_id,
        billed_as=run.teacher.model,
        labeler=run.teacher,
        prompt=run.prompt,
        answer_key=partial(keys.label_key, run.teacher.id, sample=sample),
        retry_key=partial(keys.label_retry_key, run.teacher.id, sample=sample),
        tier=available_tier(run.teacher.model, run.request.service_tier),
        sample=sample,
        rejection=rejection,
    )
