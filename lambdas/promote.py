"""Promote: replace the model of an earlier run's deployment with the promoted model, or return the progress."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import PromoteResult, RunEvent
from distillation.serving.promotion import promote
from distillation.telemetry import logger
from lambdas.runtime import bedrock, data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(RunEvent)
def handler(event: RunEvent, context: LambdaContext) -> PromoteResult:
    """Return the status, Done or Updating, and the ARN of the deployment to call."""
    run = read_run(event.run)
    result = promote(run, data(), bedrock())
    logger.info("promotion described", run=run.name, **result.model_dump())
    return result
