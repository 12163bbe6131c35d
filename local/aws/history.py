"""Poll an execution: how it stands, and which states it entered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from local.aws.emulator import AwsEmulator


def status(cloud: AwsEmulator, execution_arn: str) -> dict[str, Any]:
    """Return what DescribeExecution says: status, input, output, error and cause."""
    return cloud.client("stepfunctions").describe_execution(executionArn=execution_arn)


def states_entered(cloud: AwsEmulator, execution_arn: str, *, nested: bool = False) -> list[str]:
    """Return the states entered so far, in order, with those inside Maps and branches if ``nested``."""
    names, inside = [], None
    for event in _events(cloud, execution_arn):
        if entered := event.get("stateEnteredEventDetails"):
            if nested or inside is None:
                names.append(entered["name"])
            if inside is None and event["type"] in ("MapStateEntered", "ParallelStateEntered"):
                inside = entered["name"]
        elif event.get("stateExitedEventDetails", {}).get("name") == inside:
            inside = None
    return names


def _events(cloud: AwsEmulator, execution_arn: str) -> Iterator[dict[str, Any]]:
    pages = (
        cloud.client("stepfunctions")
        .get_paginator("get_execution_history")
        .paginate(executionArn=execution_arn, includeExecutionData=False, PaginationConfig={"PageSize": 1000})
    )
    for page in pages:
        yield from page["events"]
