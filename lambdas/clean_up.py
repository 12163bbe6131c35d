"""CleanUp: leave no job running and no model that is not to be kept.

Runs as the state machine's last step but one, and by an EventBridge rule when an execution failed, timed
out or was aborted: Catch sees neither a timeout nor an abort.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import keys
from distillation.records import Run
from distillation.runs.request import run_name_of
from distillation.serving.cleanup import clean_up
from distillation.telemetry import logger
from lambdas.runtime import bedrock, data


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``, or the event of an ended execution; return what was stopped, deleted and kept."""
    run = _ended_run(event["detail"]) if "detail" in event else _find(event["run"])
    if run is None:
        return {"stopped": [], "deleted": [], "kept": []}
    result = clean_up(run, data(), bedrock(), datetime.now(UTC))
    logger.info("cleaned up", run=run.name, result=result)
    return result


def _ended_run(detail: dict[str, Any]) -> Run | None:
    """Return the run that an ended execution had claimed, if it had claimed one."""
    name = run_name_of(json.loads(detail.get("input") or "{}"), detail["executionArn"])
    run = _find(name) if name else None
    return run if run and run.execution == detail["executionArn"] else None


def _find(name: str) -> Run | None:
    body = data().get_or_none(keys.request_key(name))
    return Run.model_validate_json(body) if body else None
