"""RecordFailure: write which state failed and why, for the command line and Notify."""

from __future__ import annotations

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import FailureResult, RecordFailureEvent
from distillation.runs.failure import record_failure
from distillation.telemetry import logger
from lambdas.runtime import data, typed


@logger.inject_lambda_context(clear_state=True)
@typed(RecordFailureEvent)
def handler(event: RecordFailureEvent, context: LambdaContext) -> FailureResult:
    """Return error and cause, which the execution fails with."""
    failure = record_failure(event.state, event.execution, data(), boto3.client("stepfunctions"))
    logger.error("run failed", **failure.model_dump())
    return FailureResult(error=failure.error, cause=failure.cause)
