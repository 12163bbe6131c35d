from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from distillation.records import Quota
from local.bedrock import ConverseFaults, Endpoint
from local.bedrock.protocol import BedrockError
from local.bedrock.quotas import Quotas
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


def test_tokens_per_day_are_available_again_after_a_day() -> None:
    seconds = [0.0]
    quotas, limit = Quotas(now=lambda: seconds[0]), Quota(tokens_per_day=1_000)
    for _ in range(2):
        quotas.settle(quotas.admit(TEACHER, 500, limit), 450)
    with pytest.raises(BedrockError, match=r"Too many tokens per day, please wait before trying again\."):
        quotas.admit(TEACHER, 500, limit)
    quotas.admit(STUDENT, 500, limit)
    seconds[0] = 86_399.0
    with pytest.raises(BedrockError, match="Too many tokens per day"):
        quotas.admit(TEACHER, 500, limit)
    seconds[0] = 86_400.0

    assert quotas.admit(TEACHER, 500, limit).tokens == 500


def test_endpoint_refuses_calls_beyond_the_tokens_of_a_shortened_day(tmp_path: Path) -> None:
    faults = ConverseFaults(quotas={TEACHER: Quota(tokens_per_day=8_000)}, day_seconds=3.0)
    with running_endpoint(trainable_bucket(), tmp_path, converse=faults) as endpoint:
        seconds = [0.0]
        endpoint.service.quotas.now = lambda: seconds[0]
        ask(endpoint, TEACHER)
        endpoint.service.quotas.admit(TEACHER, 2_000, Quota())
        with pytest.raises(ClientError, match="Too many tokens per day") as error:
            ask(endpoint, TEACHER)
        assert error_code(error) == "ThrottlingException"
        seconds[0] = faults.day_seconds
        ask(endpoint, TEACHER)
