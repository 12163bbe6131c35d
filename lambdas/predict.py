"""PredictTestImages: have base, every tuned model and the teacher once more answer about test images."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.inference.predictions import predict_batch
from distillation.records import TrainedModel
from distillation.telemetry import log_answers, logger, metrics
from lambdas.runtime import bedrock_runtime, data, read_run, shift


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{BatchInput: {run, at_once, models?}, Items: [{image}]}``; return ``{ok, refused}``."""
    batch = event["BatchInput"]
    run = read_run(batch["run"])
    models = [TrainedModel.model_validate(model) for model in batch.get("models", [])]
    images = [item["image"] for item in event["Items"]]
    lines = predict_batch(run, models, images, data(), bedrock_runtime(), shift(batch["concurrent_batches"], context))
    log_answers(run.name, lines, "ImagesPredicted", "Predictions")
    return {status: sum(line.status == status for line in lines) for status in ("ok", "refused")}
