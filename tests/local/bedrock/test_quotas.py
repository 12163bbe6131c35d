from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from distillation.records import Quota
from local.bedrock import ConverseFaults, Endpoint
from tests.support.local_bedrock import (
    STUDENT,
    TEACHER,
    error_code,
    running_endpoint,
    trainable_bucket,
)


def ask(endpoint: Endpoint, model: str) -> None:
    make: Any = boto3.client
    client = make("bedrock-runtime", endpoint_url=endpoint.url, config=Config(retries={"total_max_attempts": 1}))
    image = {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://data/images/900/1.jpg"}}}}
    client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "keywords"}, image]}])


def test_requests_and_tokens_beyond_the_quota_are_throttled(tmp_path: Path) -> None:
    quotas = {TEACHER: Quota(requests_per_minute=2), STUDENT: Quota(tokens_per_minute=8_000)}
    with running_endpoint(trainable_bucket(), tmp_path, converse=ConverseFaults(quotas=quotas)) as endpoint:
        for _ in range(2):
            ask(endpoint, TEACHER)
        with pytest.raises(ClientError, match="Too many requests") as error:
            ask(endpoint, TEACHER)
        assert error_code(error) == "ThrottlingException"
        # Without maxTokens a call holds 5,000 for its answer, and gives back at its end what it did not use.
        for _ in range(3):
            ask(endpoint, STUDENT)
        with pytest.raises(ClientError, match="Too many tokens"):
            ask(endpoint, STUDENT)
