from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber


@pytest.fixture
def client() -> Any:
    """Return a ``bedrock-runtime`` client, whose responses ``bedrock`` queues."""
    return boto3.client("bedrock-runtime")


@pytest.fixture
def bedrock(client: Any) -> Iterator[Stubber]:
    """Return a stubber that checks each call against Bedrock's service model."""
    with Stubber(client) as stubber:
        yield stubber


@pytest.fixture
def asked_texts(client: Any) -> list[str]:
    """Return a list to which the text of each question is appended."""
    texts: list[str] = []
    client.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse",
        lambda params, **_: texts.append(params["messages"][0]["content"][0]["text"]),
    )
    return texts


@pytest.fixture
def converse_calls(client: Any) -> list[dict[str, Any]]:
    """Return a list to which the parameters of each Converse call are appended."""
    calls: list[dict[str, Any]] = []
    client.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse", lambda params, **_: calls.append(params)
    )
    return calls
