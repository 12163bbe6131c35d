"""Label (in the Map LabelImages): ask the teacher for the labels of a batch of images."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import AskEvent, BatchResult
from distillation.inference.labelling import label_batch
from distillation.runs.quota_notification import announce_waiting
from distillation.telemetry import log_answers, logger, metrics
from lambdas.runtime import batch_limits, bedrock_runtime, data, publish, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(AskEvent)
def handler(event: AskEvent, context: LambdaContext) -> BatchResult:
    """Return how many labels can be used and how many were set aside."""
    run = read_run(event.batch.run)
    limits = batch_limits(event.batch.concurrent_batches, context)
    with announce_waiting(run, data(), publish):
        lines = label_batch(run, event.images, data(), bedrock_runtime(), limits)
    log_answers(run.name, lines, "ImagesLabelled", "Labels")
    return BatchResult.count(lines)
