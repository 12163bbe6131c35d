"""PredictTestImages: have base, every tuned model and the teacher once more answer about test images."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.predict.batch import predict_batch
from lambdas.shared.environment import bedrock_runtime, claimed_run, data
from lambdas.shared.records import TrainedModel
from lambdas.shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{BatchInput: {run, models}, Items: [{image}]}``; return ``{ok, refused}``."""
    run = claimed_run(event["BatchInput"]["run"])
    models = [TrainedModel.model_validate(model) for model in event["BatchInput"]["models"]]
    images = [item["image"] for item in event["Items"]]
    lines = predict_batch(run, models, images, data(), bedrock_runtime())
    return {status: sum(line.status == status for line in lines) for status in ("ok", "refused")}
