from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from distillation.errors import ServiceUnavailable
from distillation.serving.execution_state import UNKNOWN_EXECUTION, ExecutionState, execution_state, has_ended

ENDED = datetime(2026, 11, 25, tzinfo=UTC)
STARTED = {"executionArn": "arn:e", "stateMachineArn": "arn:m", "startDate": ENDED}


def test_execution_is_running_has_succeeded_has_ended_otherwise_or_is_unknown() -> None:
    client = boto3.client("stepfunctions")
    with Stubber(client) as stepfunctions:
        stepfunctions.add_response("describe_execution", STARTED | {"status": "RUNNING"})
        for status in ("SUCCEEDED", "ABORTED"):
            stepfunctions.add_response("describe_execution", STARTED | {"status": status, "stopDate": ENDED})
        stepfunctions.add_client_error("describe_execution", "ExecutionDoesNotExist")

        assert [execution_state(client, "arn:e") for _ in range(4)] == [
            ExecutionState("RUNNING"),
            ExecutionState("SUCCEEDED", ENDED),
            ExecutionState("ABORTED", ENDED),
            UNKNOWN_EXECUTION,
        ]


def test_execution_counts_as_running_while_step_functions_does_not_answer() -> None:
    client = boto3.client("stepfunctions")
    with Stubber(client) as stepfunctions:
        stepfunctions.add_response("describe_execution", STARTED | {"status": "ABORTED", "stopDate": ENDED})
        for _ in range(2):
            stepfunctions.add_client_error("describe_execution", "ThrottlingException", http_status_code=429)

        assert has_ended(client, "arn:e")
        assert not has_ended(client, "arn:e")
        with pytest.raises(ServiceUnavailable, match="execution arn:e"):
            execution_state(client, "arn:e")
