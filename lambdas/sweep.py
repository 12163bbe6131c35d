"""Sweep: delete the Bedrock resources that no run retains, once a day and when the stack is deleted.

CloudFormation manages neither jobs nor tuned models, so a custom resource calls this function when the stack is
deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3
import urllib3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import SweepResult
from distillation.serving.sweep import Sweeper, is_running
from distillation.telemetry import logger, metrics
from lambdas.runtime import Settings, bedrock, data, settings


class SweepSettings(Settings):
    """Environment variables of Sweep."""

    stage: str
    """Stage whose resources are swept."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep for a schedule or a CloudFormation request; return what was stopped, deleted and kept."""
    if "ResponseURL" in event:
        return _answer_cloudformation(event).model_dump()
    return _sweep(partial(is_running, boto3.client("stepfunctions"))).model_dump()


def _sweep(execution_is_running: Callable[[str], bool]) -> SweepResult:
    stage = settings(SweepSettings).stage
    result = Sweeper(stage, data(), bedrock(), execution_is_running, datetime.now(UTC)).sweep()
    metrics.add_metric("OldestDeploymentDays", MetricUnit.Count, result.oldest_deployment_days)
    metrics.add_metric("LeftoversRemoved", MetricUnit.Count, len(result.stopped) + len(result.deleted))
    metrics.flush_metrics()
    logger.info("stage swept", **result.model_dump())
    return result


def _answer_cloudformation(event: dict[str, Any]) -> SweepResult:
    """Sweep if the stack is being deleted, and always answer: without an answer the deletion waits for an hour."""
    status, reason, result = "SUCCESS", "", SweepResult(oldest_deployment_days=0)
    if event["RequestType"] == "Delete":
        try:
            # The state machine is already deleted, so no execution is running.
            result = _sweep(lambda _: False)
        except Exception as error:  # noqa: BLE001 - every failure is reported to CloudFormation
            logger.exception("sweep failed")
            status, reason = "FAILED", f"{type(error).__name__}: {error}; delete the stack again to continue"
    answer = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The URL is pre-signed for an empty content type.
    response = urllib3.request(
        "PUT", event["ResponseURL"], body=json.dumps(answer), headers={"content-type": ""}, retries=3
    )
    logger.info("CloudFormation answered", status=status, http=response.status)
    return result
