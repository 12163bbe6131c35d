"""Customize: create the job of one training size, or say how far it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.telemetry import logger, metrics
from distillation.training.job import Settings, create_or_describe
from lambdas.runtime import bedrock, data, read_run, setting


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, size}``; return ``{status, name, job, model}``, status InProgress or Completed."""
    run = read_run(event["run"])
    settings = Settings(
        role=setting("BEDROCK_ROLE_ARN"),
        key=setting("CUSTOM_MODEL_KMS_KEY_ID") or None,
        patience=timedelta(hours=float(setting("STUCK_JOB_HOURS"))),
    )
    job = create_or_describe(run, event["size"], data(), bedrock(), settings, datetime.now(UTC))
    logger.info("job looked at", run=run.name, size=event["size"], **job)
    return job
