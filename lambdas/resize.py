"""Resize (in ResizePhotos): resize a batch of photos to the image side of the student's family."""

from __future__ import annotations

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import BatchResult, ResizeEvent
from distillation.photos.resize_batch import resize_batch
from distillation.telemetry import logger, metrics
from lambdas.runtime import data, photos, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(ResizeEvent)
def handler(event: ResizeEvent, context: LambdaContext) -> BatchResult:
    """Return how many photos can be used and how many were set aside."""
    result = resize_batch(read_run(event.batch.run), event.items, photos(), data())
    metrics.add_metric("PhotosResized", MetricUnit.Count, result.ok)
    metrics.add_metric("PhotosRefused", MetricUnit.Count, result.refused)
    return result
