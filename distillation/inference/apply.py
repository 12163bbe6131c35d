"""Ask a tuned model about the images of one batch (``apply``); the teacher where it failed, and for the audit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING

from distillation import keys
from distillation.answers.rejection import prediction_rejection
from distillation.errors import (
    AccessDenied,
    AccessPending,
    DailyQuotaExceeded,
    InvalidRequest,
    OverBudget,
    Throttled,
    excerpt,
)
from distillation.inference.image_batch import ImageBatch, Target
from distillation.inference.labelling import teacher_target
from distillation.inference.predictions import student_target
from distillation.inference.rate_limit import BatchLimits
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

MINIMUM_AUDIT_IMAGES = 20
"""Smallest number of images of an audit, unless the collection has fewer."""
_NOT_AUDITED = (AccessDenied, AccessPending, DailyQuotaExceeded, InvalidRequest, OverBudget, Throttled)
"""Errors of the teacher after which a batch continues without its audit."""


def audited_images(run: Run, images: Collection[str]) -> set[str]:
    """Return the images to audit: ``audit_share`` of them, at least 20, chosen by a hash of run and image.

    A retry chooses the same ones; another run about the same images chooses others.
    """
    by_hash = sorted(images, key=lambda image: sha256(f"{run.name}/{image}".encode()).digest())
    return set(by_hash[: audit_size(run, len(images))])


def audit_size(run: Run, images: int) -> int:
    """Return the number of images to audit of a collection with ``images`` images."""
    share = run.request.audit_share
    return min(images, max(MINIMUM_AUDIT_IMAGES, ceil(share * images))) if share else 0


def apply_batch(
    run: Run,
    images: list[str],
    audited: Sequence[str],
    data: Bucket,
    client: BedrockRuntimeClient,
    limits: BatchLimits,
) -> list[AnswerLine]:
    """Ask the tuned model about each image, and the teacher as the request says; write and return the lines.

    With ``fallback`` the teacher is asked about images without a valid answer. It is always asked about the images in
    ``audited``. Stored labels are reused. Raises the same errors as ``ImageBatch.ask``, except for errors of the audit:
    they are the reasons of its refused lines.
    """
    batch = ImageBatch(run, "PredictImages", data, client, limits)
    lines = batch.ask(tuned_target(run), images)
    invalid = [line.image for line in lines if line.status == "refused"]
    if invalid and run.request.fallback:
        lines += batch.ask(teacher_target(run, 0, "fallback", prediction_rejection), invalid)
    lines += _audit(batch, list(audited))
    data.write_lines(
        keys.part_key(run.name, "predict", keys.batch_id(images)),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return lines


def tuned_target(run: Run) -> Target:
    """Return the deployment of the tuned model that the run applies."""
    model = run.applies
    if model is None or not model.deployment_arn:
        raise InvalidRequest(f"run {run.name} applies no deployed model. Start it again with 'apply'.")
    return student_target(run, "tuned", model.deployment_arn, model.images_by)


def _audit(batch: ImageBatch, images: list[str]) -> list[AnswerLine]:
    """Return the teacher's labels of the audited images, one line for each sample.

    The tuned model's answers are worth more than their audit. If the teacher cannot be asked, each image has a
    refused line with the reason.
    """
    if not images:
        return []
    samples = range(batch.run.request.samples_per_image)
    try:
        return [line for sample in samples for line in batch.ask(teacher_target(batch.run, sample, "audit"), images)]
    except _NOT_AUDITED as error:
        logger.warning("images are not audited", run=batch.run.name, images=len(images), error=str(error))
        reason = excerpt(error)
        return [
            AnswerLine(image=image, answerer="audit", status="refused", sample=sample, reason=reason)
            for image in images
            for sample in samples
        ]
