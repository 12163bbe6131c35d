"""Deploy: create the deployment of one tuned model, or return its status; ask an active one about one test image."""

from __future__ import annotations

from functools import partial

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import DeployEvent, DeploymentResult
from distillation.inference.deployment_probe import probe_image_source
from distillation.runs.quota_notification import announce_waiting
from distillation.serving.deployment import create_or_describe
from distillation.serving.execution_state import has_ended
from distillation.telemetry import logger, metrics
from lambdas.runtime import batch_limits, bedrock, bedrock_runtime, data, publish, read_run, step_functions, typed


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(DeployEvent)
def handler(event: DeployEvent, context: LambdaContext) -> DeploymentResult:
    """Return the deployment's status, Creating or Active, its ARN, and once it is active its image source."""
    run = read_run(event.run)
    execution_has_ended = partial(has_ended, step_functions(), run.execution)
    deployment = create_or_describe(run, event, data(), bedrock(), execution_has_ended)
    if deployment.status == "Active":
        limits = batch_limits(1, context)
        with announce_waiting(run, data(), publish):
            source = probe_image_source(run, event.size, deployment.deployment_arn, data(), bedrock_runtime(), limits)
        deployment = deployment.model_copy(update={"images_by": source})
    logger.info("deployment described", run=run.name, **deployment.model_dump())
    return deployment
