"""Deploy: create the deployment of one tuned model, or return its status."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import DeployEvent, DeploymentResult
from distillation.serving.deployment import create_or_describe
from distillation.telemetry import logger
from lambdas.runtime import bedrock, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(DeployEvent)
def handler(event: DeployEvent, context: LambdaContext) -> DeploymentResult:
    """Return the deployment's status, Creating or Active, and its ARN."""
    run = read_run(event.run)
    deployment = create_or_describe(run, event.model_name, event.model_arn, bedrock())
    logger.info("deployment described", run=run.name, **deployment.model_dump())
    return deployment
