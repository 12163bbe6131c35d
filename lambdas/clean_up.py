"""CleanUp: stop a run's jobs and delete the deployments and models that it does not retain.

It runs near the end of the state machine, and from an EventBridge rule when an execution failed, timed out or was
aborted: a Catch sees neither a timeout nor an abort.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import CleanUpResult, EndingEvent
from distillation.runs.endings import find_ended_run
from distillation.serving.clean_up import clean_up
from distillation.telemetry import logger
from lambdas.runtime import bedrock, data, typed


@logger.inject_lambda_context(clear_state=True)
@typed(EndingEvent)
def handler(event: EndingEvent, context: LambdaContext) -> CleanUpResult:
    """Return what was stopped, deleted and kept; nothing if the execution had not claimed a run."""
    run = find_ended_run(event, data())
    if run is None:
        return CleanUpResult()
    result = clean_up(run, data(), bedrock(), datetime.now(UTC))
    logger.info("run cleaned up", run=run.name, result=result.model_dump())
    return result
