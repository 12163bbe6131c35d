"""Label one batch: a label that was paid for once, by any run, is found and not asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdas.shared import layout
from lambdas.shared.objects import Objects
from lambdas.shared.questions import Answerer, ask_all
from lambdas.shared.records import AnswerLine, Run

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def label_batch(run: Run, images: list[str], data: Objects, client: BedrockRuntimeClient) -> list[AnswerLine]:
    """Ask the teacher about the images of a batch and write the batch's part."""
    teacher = Answerer(
        name="teacher",
        model=run.teacher.model,
        billed_as=run.teacher.model,
        labeler=run.teacher,
        key=lambda image: layout.label(run.teacher.id, image, 0),
    )
    lines = ask_all(run, "LabelImages", teacher, images, data, client)
    data.write_lines(
        layout.part(run.run, "label", layout.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines
