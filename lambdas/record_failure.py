"""RecordFailure: write which state failed and why, for the command line and Notify."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import FailureResult, RecordFailureEvent
from distillation.runs.failure import record_failure
from distillation.serving.kept_models import kept_models_text
from distillation.telemetry import logger
from lambdas.runtime import bedrock, data, step_functions, typed


@logger.inject_lambda_context(clear_state=True)
@typed(RecordFailureEvent)
def handler(event: RecordFailureEvent, context: LambdaContext) -> FailureResult:
    """Return error and cause, which the execution fails with."""
    kept_models = partial(kept_models_text, bedrock=bedrock(), ended=datetime.now(UTC))
    failure = record_failure(event.state, event.execution, data(), step_functions(), kept_models)
    logger.error("run failed", **failure.model_dump())
    return FailureResult(error=failure.error, cause=failure.cause)
