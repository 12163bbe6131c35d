"""Ask all answerers about the test images of one batch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from distillation import keys
from distillation.inference.image_batch import Answerer, Batch, ask_all
from distillation.inference.rate_limit import BatchLimits
from distillation.records import AnswerLine, Run, TrainedModel
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def predict_batch(
    run: Run,
    models: list[TrainedModel],
    images: list[str],
    data: Bucket,
    client: BedrockRuntimeClient,
    shift: BatchLimits,
) -> list[AnswerLine]:
    """Ask about each image and write the batch's part; sizes that failed to train are left out."""
    batch = Batch(run, "PredictImages" if run.applies else "PredictTestImages", data, client, shift)
    lines = [line for answerer in answerers(run, models) for line in ask_all(batch, answerer, images)]
    data.write_lines(
        keys.part_key(run.name, "predict", keys.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def answerers(run: Run, models: list[TrainedModel]) -> list[Answerer]:
    """Return base, the tuned models, and the teacher at the ceiling's temperature; or the one model that is applied."""
    # Students are asked exactly as the teacher was, the temperature included.
    student = partial(_student, run)
    if run.applies and run.applies.deployment_arn:
        return [student("tuned", run.applies.deployment_arn)]
    tuned = [
        student(f"n{model.size}", model.deployment_arn)
        for model in models
        if model.status == "Active" and model.deployment_arn
    ]
    ceiling = Answerer(
        name="ceiling",
        model=run.ceiling.invocation_id,
        billed_as=run.ceiling.model,
        labeler=run.ceiling,
        key=partial(keys.label_key, run.ceiling.id, sample=run.ceiling_sample),
        again=partial(keys.label_retry_key, run.ceiling.id, sample=run.ceiling_sample),
        tier=run.request.service_tier,
    )
    return [student("base", run.student), *tuned, ceiling]


def _student(run: Run, name: str, model: str) -> Answerer:
    return Answerer(
        name=name,
        model=model,
        billed_as=run.student,
        labeler=run.teacher,
        key=lambda image: keys.prediction_key(run.name, name, image),
    )
