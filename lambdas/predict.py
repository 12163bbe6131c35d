"""PredictTestImages: ask the student, every tuned model and the teacher about a batch of test images.

With ``apply`` it is PredictImages, which asks one tuned model about the images of a collection.
"""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import AskEvent, BatchResult
from distillation.inference.predictions import predict_batch
from distillation.telemetry import log_answers, logger, metrics
from lambdas.runtime import batch_limits, bedrock_runtime, data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(AskEvent)
def handler(event: AskEvent, context: LambdaContext) -> BatchResult:
    """Return how many answers can be used and how many were set aside."""
    run = read_run(event.batch.run)
    limits = batch_limits(event.batch.concurrent_batches, context)
    lines = predict_batch(run, event.batch.models, event.images, data(), bedrock_runtime(), limits)
    log_answers(run.name, lines, "ImagesPredicted", "Predictions")
    return BatchResult.count(lines)
