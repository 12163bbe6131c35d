"""Sweep: once a day, and when the stack is deleted, leave nothing at Bedrock that no run keeps.

CloudFormation knows neither jobs nor tuned models, so a custom resource of the stack calls this on its way out.
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

from distillation.serving.sweep import Sweeper, is_running
from distillation.telemetry import logger, metrics
from lambdas.runtime import bedrock, data, setting


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take the event of a schedule, or a request of CloudFormation; return what was stopped, deleted and kept."""
    if "ResponseURL" in event:
        return _for_cloudformation(event)
    return _sweep(partial(is_running, boto3.client("stepfunctions")))


def _sweep(still_goes_on: Callable[[str], bool]) -> dict[str, Any]:
    result = Sweeper(setting("STAGE"), data(), bedrock(), still_goes_on, datetime.now(UTC)).sweep()
    metrics.add_metric("OldestDeploymentDays", MetricUnit.Count, result["oldest_deployment_days"])
    metrics.add_metric("LeftoversRemoved", MetricUnit.Count, len(result["stopped"]) + len(result["deleted"]))
    metrics.flush_metrics()
    logger.info("swept", **result)
    return result


def _for_cloudformation(event: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudFormation whatever happens: without an answer it waits, and the deletion with it."""
    status, reason, result = "SUCCESS", "", {}
    if event["RequestType"] == "Delete":
        try:
            # The state machine is gone by now, so no execution goes on.
            result = _sweep(lambda _: False)
        except Exception as error:  # noqa: BLE001 - CloudFormation is told of any
            logger.exception("not all was taken down")
            status, reason = "FAILED", f"{type(error).__name__}: {error}; delete the stack again, which goes on here"
    answer = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # A signed address, whose signature covers an empty content type.
    sent = urllib3.request(
        "PUT", event["ResponseURL"], body=json.dumps(answer), headers={"content-type": ""}, retries=3
    )
    logger.info("CloudFormation told", status=status, http=sent.status)
    return result
