"""History of an execution: the states that it entered."""

from __future__ import annotations

from typing import Any

from local.aws.emulator import AwsEmulator


def states_entered(aws: AwsEmulator, execution_arn: str, *, nested: bool = False) -> list[str]:
    """Return the names of the states entered so far, in order; ``nested`` includes those inside Maps and branches."""
    names: list[str] = []
    container = None
    for event in _events(aws, execution_arn):
        if entered := event.get("stateEnteredEventDetails"):
            if nested or container is None:
                names.append(entered["name"])
            if container is None and event["type"] in ("MapStateEntered", "ParallelStateEntered"):
                container = entered["name"]
        elif event.get("stateExitedEventDetails", {}).get("name") == container:
            container = None
    return names


def _events(aws: AwsEmulator, execution_arn: str) -> list[dict[str, Any]]:
    paginator = aws.client("stepfunctions").get_paginator("get_execution_history")
    pages = paginator.paginate(
        executionArn=execution_arn, includeExecutionData=False, PaginationConfig={"PageSize": 1000}
    )
    return [event for page in pages for event in page["events"]]
