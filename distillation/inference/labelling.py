"""Label one batch: a label that was paid for once, by any run, is found and not asked again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from distillation import keys
from distillation.inference.image_batch import Answerer, Batch, ask_all
from distillation.inference.rate_limit import BatchLimits
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def label_batch(
    run: Run, images: list[str], data: Bucket, client: BedrockRuntimeClient, shift: BatchLimits
) -> list[AnswerLine]:
    """Ask the teacher about the images of a batch, as often as samples are asked for, and write the batch's part."""
    batch = Batch(run, "LabelImages", data, client, shift)
    lines = [
        line
        for sample in range(run.request.samples_per_image)
        for line in ask_all(batch, _teacher(run, sample), images)
    ]
    data.write_lines(
        keys.part_key(run.name, "label", keys.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def _teacher(run: Run, sample: int) -> Answerer:
    return Answerer(
        name="teacher",
        model=run.teacher.invocation_id,
        billed_as=run.teacher.model,
        labeler=run.teacher,
        key=partial(keys.label_key, run.teacher.id, sample=sample),
        again=partial(keys.label_retry_key, run.teacher.id, sample=sample),
        tier=run.request.service_tier,
        sample=sample,
    )
