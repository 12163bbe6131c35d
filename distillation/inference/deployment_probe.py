"""Ask a new deployment about one test image, before all predictions of the run depend on its answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from distillation import keys
from distillation.errors import LABELS_ARE_REUSED, DeploymentFailed, ObjectDamaged
from distillation.inference.converse import ImageSourceRefused
from distillation.inference.image_batch import ImageBatch
from distillation.inference.label_lock import find_answer
from distillation.inference.predictions import student_target
from distillation.inference.rate_limit import BatchLimits
from distillation.models import catalog
from distillation.records import ImageSource, Run, SplitLine, answerer_of
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient


def probe_image_source(
    run: Run, size: int, deployment_arn: str, data: Bucket, client: BedrockRuntimeClient, limits: BatchLimits
) -> ImageSource:
    """Ask a deployment about the first test image, and return the source from which it takes images.

    The first call sends the image by the source of the student's family. If it is not answered, a second call sends its
    bytes: AWS does not document whether a deployment of a tuned model reads ``s3Location``. The answer is stored as the
    prediction for this image, so PredictTestImages does not pay for it again.

    Raises ``DeploymentFailed`` if the deployment refuses both sources, and the same errors as ``ImageBatch.ask``.
    """
    target = student_target(run, answerer_of(size), deployment_arn)
    key = keys.split_key(run.name, "test")
    first = next(data.read_records(key, SplitLine), None)
    if first is None:
        raise ObjectDamaged(f"s3://{data.name}/{key} lists no image. Start the run again. {LABELS_ARE_REUSED}")
    image = first.image
    batch = ImageBatch(run, "Deploy", data, client, limits)
    sources: list[ImageSource] = list(dict.fromkeys([catalog.get_model(run.student).family.images_by, "bytes"]))
    refusals: dict[ImageSource, ImageSourceRefused] = {}
    for source in sources:
        try:
            batch.ask(replace(target, images_by=source), [image])
        except ImageSourceRefused as error:
            refusals[source] = error
            logger.warning("deployment refuses an image source", run=run.name, source=source, error=str(error))
        else:
            if answer := find_answer(target.answer_key(image), image, data):
                return answer.images_by
    # The image was set aside. It may be the only one that the model does not answer about.
    not_refused: list[ImageSource] = [source for source in sources if source not in refusals]
    if not not_refused:
        raise DeploymentFailed(f"deployment {deployment_arn} takes no images: {refusals['bytes']}")
    return not_refused[0]
