"""Deploy: make a tuned model callable on demand, or say how far that is."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.serving.deployment import create_or_describe
from distillation.telemetry import logger
from lambdas.runtime import bedrock, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, name, model}``; return ``{status, deployment}``, status Creating or Active."""
    run = read_run(event["run"])
    deployment = create_or_describe(run, event["model_name"], event["model_arn"], bedrock())
    logger.info("deployment looked at", run=run.name, **deployment)
    return deployment
