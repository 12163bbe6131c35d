"""ResizePhotos: resize a batch of photos to the image size of the student's family."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.photos.resize_batch import resize_batch
from distillation.telemetry import logger, metrics
from lambdas.runtime import data, photos, read_run


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{BatchInput: {run}, Items: [{Key, ETag, Size}]}``; return ``{ok, refused}``."""
    run = read_run(event["BatchInput"]["run"])
    counts = resize_batch(run, event["Items"], photos(), data())
    metrics.add_metric("PhotosResized", MetricUnit.Count, counts["ok"])
    metrics.add_metric("PhotosRefused", MetricUnit.Count, counts["refused"])
    return counts
