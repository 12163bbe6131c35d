"""Predict (in PredictTestImages and PredictImages): ask the models of a run about a batch of images.

In the baseline round, PredictTestImages asks the alternatives to training and the teacher. In a training round it asks
the student, every tuned model and the teacher about the test images. If the size is chosen on validation images, it
asks the tuned models about those too. PredictImages, with ``apply``, asks one tuned model. It asks the teacher about
images without a valid answer and about the audited ones.
"""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import AskEvent, BatchResult
from distillation.inference.alternatives import ask_alternatives
from distillation.inference.apply import apply_batch
from distillation.inference.predictions import predict_batch
from distillation.runs.quota_notification import announce_waiting
from distillation.telemetry import log_answers, logger, metrics
from lambdas.runtime import batch_limits, bedrock_runtime, data, publish, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(AskEvent)
def handler(event: AskEvent, context: LambdaContext) -> BatchResult:
    """Return how many answers can be used and how many were set aside."""
    run = read_run(event.batch.run)
    limits = batch_limits(event.batch.concurrent_batches, context)
    clients = data(), bedrock_runtime(), limits
    with announce_waiting(run, data(), publish):
        if event.batch.kind == "baseline":
            lines = ask_alternatives(run, event.images, *clients)
        elif run.applies:
            lines = apply_batch(run, event.images, event.audited_images, *clients)
        else:
            lines = predict_batch(
                run, event.batch.models, event.images, *clients, event.validation_images, event.ceiling_images
            )
    log_answers(run.name, lines, "ImagesPredicted", "Predictions")
    return BatchResult.count(lines)
