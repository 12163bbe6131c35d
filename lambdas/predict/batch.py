"""Ask all answerers about the test images of one batch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lambdas.shared import layout
from lambdas.shared.objects import Objects
from lambdas.shared.pace import Shift
from lambdas.shared.questions import Answerer, Batch, ask_all
from lambdas.shared.records import AnswerLine, Run, TrainedModel

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def predict_batch(
    run: Run,
    models: list[TrainedModel],
    images: list[str],
    data: Objects,
    client: BedrockRuntimeClient,
    shift: Shift,
) -> list[AnswerLine]:
    """Ask about each image and write the batch's part; sizes that failed to train are left out."""
    batch = Batch(run, "PredictImages" if run.applies else "PredictTestImages", data, client, shift)
    lines = [line for answerer in answerers(run, models) for line in ask_all(batch, answerer, images)]
    data.write_lines(
        layout.part(run.run, "predict", layout.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def answerers(run: Run, models: list[TrainedModel]) -> list[Answerer]:
    """Return base, the tuned models, and the teacher at the ceiling's temperature; or the one model that is applied."""
    # Students are asked exactly as the teacher was, the temperature included.
    student = partial(_student, run)
    if run.applies and run.applies.deployment:
        return [student("tuned", run.applies.deployment)]
    tuned = [
        student(f"n{model.size}", model.deployment) for model in models if model.status == "Active" and model.deployment
    ]
    ceiling = Answerer(
        name="ceiling",
        model=run.ceiling.called,
        billed_as=run.ceiling.model,
        labeler=run.ceiling,
        key=partial(layout.label, run.ceiling.id, sample=run.ceiling_sample),
        again=partial(layout.second_label, run.ceiling.id, sample=run.ceiling_sample),
        tier=run.request.service_tier,
    )
    return [student("base", run.student), *tuned, ceiling]


def _student(run: Run, name: str, model: str) -> Answerer:
    return Answerer(
        name=name,
        model=model,
        billed_as=run.student,
        labeler=run.teacher,
        key=lambda image: layout.prediction(run.run, name, image),
    )
