"""Label one batch: a label that was paid for once, by any run, is found and not asked again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lambdas.shared import layout
from lambdas.shared.objects import Objects
from lambdas.shared.pace import Shift
from lambdas.shared.questions import Answerer, Batch, ask_all
from lambdas.shared.records import AnswerLine, Run

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def label_batch(
    run: Run, images: list[str], data: Objects, client: BedrockRuntimeClient, shift: Shift
) -> list[AnswerLine]:
    """Ask the teacher about the images of a batch, as often as samples are asked for, and write the batch's part."""
    batch = Batch(run, "LabelImages", data, client, shift)
    lines = [
        line
        for sample in range(run.request.samples_per_image)
        for line in ask_all(batch, _teacher(run, sample), images)
    ]
    data.write_lines(
        layout.part(run.run, "label", layout.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def _teacher(run: Run, sample: int) -> Answerer:
    return Answerer(
        name="teacher",
        model=run.teacher.called,
        billed_as=run.teacher.model,
        labeler=run.teacher,
        key=partial(layout.label, run.teacher.id, sample=sample),
        again=partial(layout.second_label, run.teacher.id, sample=sample),
        tier=run.request.service_tier,
        sample=sample,
    )
