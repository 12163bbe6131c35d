"""CleanUp: stop a run's jobs and delete the deployments and models that it does not retain.

It runs near the end of the state machine, and from an EventBridge rule when an execution failed, timed out or was
aborted: a Catch sees neither a timeout nor an abort.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import CleanUpResult, EndingEvent
from distillation.runs.ended_run import find_ended_run
from distillation.serving.clean_up import clean_up
from distillation.serving.execution_state import ExecutionState, execution_state
from distillation.serving.retention import Retention
from distillation.telemetry import logger
from lambdas.runtime import bedrock, data, step_functions, typed


@logger.inject_lambda_context(clear_state=True)
@typed(EndingEvent)
def handler(event: EndingEvent, context: LambdaContext) -> CleanUpResult:
    """Return what was stopped, deleted and kept; nothing if the execution had not claimed a run."""
    run = find_ended_run(event, data())
    if run is None:
        return CleanUpResult()
    now = datetime.now(UTC)
    # The state machine calls this before it has succeeded, and EventBridge after it has ended otherwise.
    own_state = ExecutionState(event.detail.status if event.detail else "SUCCEEDED", now)
    states = {run.execution: own_state}
    retention = Retention(data(), partial(execution_state, step_functions()), now, states)
    result = clean_up(run, retention, bedrock())
    logger.info("run cleaned up", run=run.name, result=result.model_dump())
    return result
