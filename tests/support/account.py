"""An AWS account whose clients return stubbed responses, as the preflight checks see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.stub import Stubber

from distillation.runs.preflight import Account
from tests.support.training_jobs import BASE_MODEL_ARN, CREATED, MODEL_ARN

TRAINING_ID = "amazon.nova-lite-v1:0:300k"
"""Model id of the student in customization jobs."""


@dataclass
class StubbedAccount:
    """Account in us-east-1. Each client must be called exactly as expected, in the same order."""

    account: Account
    bedrock: Stubber
    runtime: Stubber
    quotas: Stubber
    functions: Stubber
    states: Stubber

    def expect_student(self, status: str = "ACTIVE", **details: Any) -> None:
        """Expect a call for the student's details."""
        lifecycle: dict[str, Any] = {"status": status}
        if status == "LEGACY":
            lifecycle["endOfLifeTime"] = datetime(2026, 12, 4, tzinfo=UTC)
        model = {"modelArn": BASE_MODEL_ARN, "modelId": TRAINING_ID, "modelLifecycle": lifecycle, **details}
        self.bedrock.add_response("get_foundation_model", {"modelDetails": model}, {"modelIdentifier": TRAINING_ID})

    def expect_custom_models(self, count: int = 0) -> None:
        """Expect a listing of the account's custom models."""
        summary = {
            "modelArn": MODEL_ARN,
            "modelName": "m",
            "creationTime": CREATED,
            "baseModelArn": BASE_MODEL_ARN,
            "baseModelName": "b",
        }
        self.bedrock.add_response("list_custom_models", {"modelSummaries": [summary] * count})

    def expect_quota(self, code: str, value: float) -> None:
        """Expect a call for an applied quota."""
        expected = {"ServiceCode": "bedrock", "QuotaCode": code}
        self.quotas.add_response("get_service_quota", {"Quota": {"Value": value}}, expected)


@contextmanager
def stubbed_account() -> Iterator[StubbedAccount]:
    """Yield an account. Raises ``AssertionError`` at the end if an expected call was not made."""
    make: Any = boto3.client
    clients = [make(name) for name in ("bedrock", "bedrock-runtime", "service-quotas", "lambda", "stepfunctions")]
    with ExitStack() as stack:
        stubs = [stack.enter_context(Stubber(client)) for client in clients]
        yield StubbedAccount(Account("us-east-1", *clients), *stubs)
        for stub in stubs:
            stub.assert_no_pending_responses()
