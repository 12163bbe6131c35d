"""Promote: let a promoted model take over an earlier run's deployment, or say how far that is."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.serving.promotion import take_over
from distillation.telemetry import logger
from lambdas.runtime import bedrock, claimed_run, data


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``; return ``{status, deployment}``, status Done or Updating."""
    run = claimed_run(event["run"])
    result = take_over(run, data(), bedrock())
    logger.info("promotion looked at", run=run.run, **result)
    return result
