"""Customize: create the job of one training size, or say how far it is."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.customize.job import create_or_describe
from lambdas.shared.environment import bedrock, claimed_run, data, setting
from lambdas.shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, size}``; return ``{status, name, job, model}``, status InProgress or Completed."""
    run = claimed_run(event["run"])
    job = create_or_describe(run, event["size"], data(), bedrock(), setting("BEDROCK_ROLE_ARN"))
    logger.info("job looked at", run=run.run, size=event["size"], **job)
    return job
