"""Sweep: delete the Bedrock resources that no run retains, once a day and when the stack is deleted.

Unknown deployments and models are only reported, by the metric ``UnknownResources`` and in the log.

CloudFormation manages neither jobs nor tuned models, so a custom resource calls this function when the stack is
deleted.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import urllib3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.errors import DistillationError
from distillation.events import SweepResult
from distillation.serving.execution_state import UNKNOWN_EXECUTION, ExecutionState, execution_state
from distillation.serving.sweep import Sweeper
from distillation.telemetry import logger, metrics
from lambdas.runtime import Settings, bedrock, data, settings, step_functions

_RESPONSE_BYTES = 4096
"""Size in bytes that the response to CloudFormation must stay below.

Source: "Custom resource response objects", AWS CloudFormation user guide.
"""


class SweepSettings(Settings):
    """Environment variables of Sweep."""

    stage: str
    """Stage whose resources are swept."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep for a schedule or a CloudFormation request; return what was stopped, deleted, kept and unknown."""
    if "ResponseURL" in event:
        return _answer_cloudformation(event).model_dump()
    result = _sweep(partial(execution_state, step_functions()))
    if result.problems:
        # The rest is swept. EventBridge tries again twice; then its event is a dead letter, which has an alarm.
        raise DistillationError(_problems_text(result))
    return result.model_dump()


def _sweep(state_of: Callable[[str], ExecutionState]) -> SweepResult:
    stage = settings(SweepSettings).stage
    result = Sweeper(stage, data(), bedrock(), state_of, datetime.now(UTC)).sweep()
    metrics.add_metric("OldestDeploymentDays", MetricUnit.Count, result.oldest_deployment_days)
    metrics.add_metric("LeftoversRemoved", MetricUnit.Count, len(result.stopped) + len(result.deleted))
    metrics.add_metric("UnknownResources", MetricUnit.Count, len(result.unknown))
    metrics.flush_metrics()
    logger.info("stage swept", **result.model_dump())
    return result


def _answer_cloudformation(event: dict[str, Any]) -> SweepResult:
    """Sweep if the stack is being deleted, and always answer: without an answer CloudFormation waits for an hour."""
    status, reason, result = "SUCCESS", "", SweepResult(oldest_deployment_days=0)
    if event["RequestType"] == "Delete":
        try:
            # The state machine is already deleted, so no execution is running. Models that are kept after a failure
            # are deleted too: nothing would delete them later.
            result = _sweep(lambda _: UNKNOWN_EXECUTION)
            reason = _problems_text(result)
        except Exception as error:  # noqa: BLE001 - every failure is reported to CloudFormation
            logger.exception("sweep failed")
            status, reason = "FAILED", f"Delete the stack again to continue. {type(error).__name__}: {error}"
    answer = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The URL is pre-signed for an empty content type.
    response = urllib3.request(
        "PUT", event["ResponseURL"], body=_response_body(answer), headers={"content-type": ""}, retries=3
    )
    logger.info("CloudFormation answered", status=status, http=response.status)
    return result


def _problems_text(result: SweepResult) -> str:
    """Return what Sweep has left; empty if it has left nothing."""
    left = "; ".join(result.problems)
    return f"Left for `distill clean --yes` or the next sweep: {left}" if left else ""


def _response_body(answer: dict[str, str]) -> bytes:
    """Return the response as UTF-8 JSON that CloudFormation accepts; a longer reason is cut between characters."""

    def body(length: int) -> bytes:
        return json.dumps({**answer, "Reason": answer["Reason"][:length]}, ensure_ascii=False).encode(errors="replace")

    lengths = range(len(answer["Reason"]) + 1)
    longest = bisect_left(lengths, _RESPONSE_BYTES, key=lambda length: len(body(length))) - 1
    return body(max(longest, 0))
