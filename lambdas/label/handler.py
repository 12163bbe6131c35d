"""LabelImages: have the teacher label a batch of images."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.label.batch import label_batch
from lambdas.shared.environment import bedrock_runtime, claimed_run, data
from lambdas.shared.telemetry import logger, metrics


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{BatchInput: {run}, Items: [{image}]}``; return ``{ok, refused}``."""
    run = claimed_run(event["BatchInput"]["run"])
    images = [item["image"] for item in event["Items"]]
    lines = label_batch(run, images, data(), bedrock_runtime())
    counts = {status: sum(line.status == status for line in lines) for status in ("ok", "refused")}
    metrics.add_metric("ImagesLabelled", MetricUnit.Count, counts["ok"])
    metrics.add_metric("LabelsRefused", MetricUnit.Count, counts["refused"])
    metrics.add_metric("LabelsReused", MetricUnit.Count, sum(line.reused for line in lines))
    return counts
