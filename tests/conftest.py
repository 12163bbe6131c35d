"""Fake credentials, and a local Bedrock endpoint without models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import settings

from tests.support import service_models
from tests.support.grant_check import GrantCheck

if TYPE_CHECKING:
    from local.bedrock import Endpoint

for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "DISTILL_STAGE"):
    os.environ.pop(name, None)
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "CODE_VERSION": "0123456789ab sha256:ab",
    "POWERTOOLS_METRICS_NAMESPACE": "VisionDistillation",
    "POWERTOOLS_SERVICE_NAME": "test",
    "STAGE": "test",
}

service_models.parse_once()

# The same examples on every machine, and none judged by its time.
settings.register_profile("suite", database=None, deadline=None, derandomize=True, max_examples=50)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Register the check of all grants."""
    config.pluginmanager.register(GrantCheck(), "grant_check")


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """Run the endpoint with an empty bucket; its models are not loaded."""
    from local.bedrock import bedrock_endpoint
    from tests.support.fakes import MemoryS3

    with bedrock_endpoint(s3=MemoryS3, cache=tmp_path) as endpoint:
        yield endpoint


@pytest.fixture
def client(endpoint: Endpoint) -> Any:
    """Return a Bedrock client of the endpoint."""
    make: Any = boto3.client
    return make("bedrock", endpoint_url=endpoint.url)
