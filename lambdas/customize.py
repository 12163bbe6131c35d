"""Customize: create the customization job of one training size, or return its status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import CustomizeEvent, JobResult
from distillation.serving.execution_state import has_ended
from distillation.telemetry import logger, metrics
from distillation.training.job import JobSettings, create_or_describe
from lambdas.runtime import Settings, bedrock, data, read_run, settings, step_functions, typed


class CustomizeSettings(Settings):
    """Environment variables of Customize."""

    bedrock_role_arn: str
    """Role that Bedrock assumes in a job."""
    model_kms_key_arn: str
    """KMS key for tuned models; empty for the key of AWS."""
    stuck_job_hours: float
    """Hours that training may take to start before the job counts as stuck."""


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(CustomizeEvent)
def handler(event: CustomizeEvent, context: LambdaContext) -> JobResult:
    """Return the job's status, InProgress or Completed, with its name and ARNs."""
    run, environment = read_run(event.run), settings(CustomizeSettings)
    job_settings = JobSettings(
        role_arn=environment.bedrock_role_arn,
        model_kms_key_arn=environment.model_kms_key_arn or None,
        start_timeout=timedelta(hours=environment.stuck_job_hours),
    )
    execution_has_ended = partial(has_ended, step_functions(), run.execution)
    job = create_or_describe(run, event.size, data(), bedrock(), job_settings, datetime.now(UTC), execution_has_ended)
    logger.info("job described", run=run.name, size=event.size, **job.model_dump())
    return job
