from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.support.account import StubbedAccount, stubbed_account


@pytest.fixture
def bedrock_client() -> Any:
    """Return a ``bedrock`` client, whose responses ``bedrock`` queues."""
    return boto3.client("bedrock")


@pytest.fixture
def bedrock(bedrock_client: Any) -> Iterator[Stubber]:
    """Return a stubber that checks each call against Bedrock's service model, and that every expected call is made."""
    with Stubber(bedrock_client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def aws() -> Iterator[StubbedAccount]:
    """Return an account whose clients return stubbed responses."""
    with stubbed_account() as account:
        yield account
