"""Ask the student, its tuned models and the teacher about the test images of one batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from distillation import keys
from distillation.inference.image_batch import ImageBatch, Target
from distillation.inference.rate_limit import BatchLimits
from distillation.inference.untuned import untuned_target
from distillation.models import catalog
from distillation.models.service_tier import available_tier
from distillation.records import AnswerLine, ImageSource, Run, TrainedModel, size_of
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def predict_batch(
    run: Run,
    models: list[TrainedModel],
    images: list[str],
    data: Bucket,
    client: BedrockRuntimeClient,
    limits: BatchLimits,
    validation: Collection[str] = (),
    ceiling: Collection[str] | None = None,
) -> list[AnswerLine]:
    """Ask every target about each image, and write and return the lines of the batch.

    Only tuned models are asked about images in ``validation``, and only if there are several to choose from. The
    teacher is asked about images in ``ceiling`` only, by default about all test images. Raises the same errors as
    ``ImageBatch.ask``.
    """
    batch = ImageBatch(run, "PredictTestImages", data, client, limits)
    lines = [
        line
        for target, target_images in _questions(prediction_targets(run, models), images, validation, ceiling)
        for line in batch.ask(target, target_images)
    ]
    data.write_lines(
        keys.part_key(run.name, "predict", keys.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def _questions(
    targets: Sequence[Target], images: list[str], validation: Collection[str], ceiling: Collection[str] | None
) -> Iterator[tuple[Target, list[str]]]:
    """Yield the images that each target is asked about."""
    test = [image for image in images if image not in validation]
    has_choice = sum(size_of(target.name) is not None for target in targets) > 1
    for target in targets:
        asked = images if has_choice and size_of(target.name) is not None else test
        if target.name == "ceiling" and ceiling is not None:
            asked = [image for image in test if image in ceiling]
        if asked:
            yield target, asked


def prediction_targets(run: Run, models: list[TrainedModel]) -> list[Target]:
    """Return the targets of a run: the student, its deployed tuned models, and the teacher for the ceiling.

    Models whose training failed are left out.
    """
    tuned = [
        student_target(run, model.answerer, model.deployment_arn, model.images_by)
        for model in models
        if model.status == "Active" and model.deployment_arn
    ]
    return [untuned_target(run, "base", run.student, run.student_prompt), *tuned, ceiling_target(run)]


def ceiling_target(run: Run) -> Target:
    """Return the teacher as target of the second question about a test image."""
    return Target(
        name="ceiling",
        model=run.ceiling.invocation_id,
        billed_as=run.ceiling.model,
        labeler=run.ceiling,
        prompt=run.prompt,
        answer_key=partial(keys.label_key, run.ceiling.id, sample=run.ceiling_sample),
        retry_key=partial(keys.label_retry_key, run.ceiling.id, sample=run.ceiling_sample),
        tier=available_tier(run.ceiling.model, run.request.service_tier),
    )


def student_target(run: Run, name: str, model: str, images_by: ImageSource | None = None) -> Target:
    """Return a tuned model of the student as target; ``images_by`` is the image source of a deployment, if known."""
    temperature = catalog.get_model(run.student).family.accepted_temperature(run.teacher.temperature)
    return Target(
        name=name,
        model=model,
        billed_as=run.student,
        # The student is asked with the teacher's temperature and max_tokens.
        labeler=run.teacher.model_copy(update={"temperature": temperature}),
        prompt=run.student_prompt,
        images_by=images_by,
        answer_key=partial(keys.prediction_key, run.name, name),
    )
