"""Promote: let a promoted model take over an earlier run's deployment, or say how far that is."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.serving.promotion import promote
from distillation.telemetry import logger
from lambdas.runtime import bedrock, data, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``; return ``{status, deployment}``, status Done or Updating."""
    run = read_run(event["run"])
    result = promote(run, data(), bedrock())
    logger.info("promotion looked at", run=run.name, **result)
    return result
