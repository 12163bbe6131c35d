"""What an execution has done so far."""

from __future__ import annotations

from typing import Any

from local.cloud.embedded import EmbeddedAws


def states_entered(cloud: EmbeddedAws, execution: str) -> list[str]:
    """Return the names of the states that an execution entered, in order, children left out."""
    pages = cloud.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
    return [
        event["stateEnteredEventDetails"]["name"]
        for page in pages
        for event in page["events"]
        if "stateEnteredEventDetails" in event
    ]


def status(cloud: EmbeddedAws, execution: str) -> Any:
    """Return what DescribeExecution tells: status, and error and cause of a failure."""
    return cloud.client("stepfunctions").describe_execution(executionArn=execution)
