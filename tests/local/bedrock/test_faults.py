"""The local endpoint's quotas and faults, met by the functions' own client and by an impatient one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from distillation.inference.labelling import label_batch
from distillation.inference.rate_limit import Clock
from distillation.records import Quota
from distillation.storage import Bucket
from lambdas import runtime
from local.bedrock import ConverseFaults, Endpoint
from local.bedrock.faults import KINDS, SLOW
from tests.support.builders import any_limits, any_run
from tests.support.local_bedrock import STUDENT, TEACHER, code, serving, trainable_bucket


@pytest.mark.parametrize("kind", [*KINDS, "ModelErrorException"])
def test_functions_own_client_survives_each_kind_of_fault_and_pays_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    s3, images = trainable_bucket(), [str(number) for number in range(10)]
    teacher = any_run().teacher.model_copy(update={"model": TEACHER})
    run = any_run().model_copy(update={"teacher": teacher})
    hurried = any_limits(Clock(sleep=lambda seconds: time.sleep(seconds / 100)))
    with serving(s3, tmp_path, converse=ConverseFaults(shares={kind: 0.2}, slow_seconds=0.2)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint.url)
        own: Any = runtime.bedrock_runtime.__wrapped__()
        lines = label_batch(run, images, Bucket(s3, "data"), own, hurried)  # type: ignore[arg-type] - in memory
        service = endpoint.service

    assert [line.status for line in lines] == ["ok"] * 10
    assert set(service.asked.values()) == {1}
    assert len(service.calls) > 10 or kind == SLOW


def ask(endpoint: Endpoint, model: str) -> None:
    make: Any = boto3.client
    client = make("bedrock-runtime", endpoint_url=endpoint.url, config=Config(retries={"total_max_attempts": 1}))
    image = {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://data/images/900/1.jpg"}}}}
    client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "keywords"}, image]}])


def test_more_requests_or_tokens_than_a_minute_has_are_throttled(tmp_path: Path) -> None:
    quotas = {TEACHER: Quota(requests_per_minute=2), STUDENT: Quota(tokens_per_minute=8_000)}
    with serving(trainable_bucket(), tmp_path, converse=ConverseFaults(quotas=quotas)) as endpoint:
        for _ in range(2):
            ask(endpoint, TEACHER)
        with pytest.raises(ClientError, match="Too many requests") as error:
            ask(endpoint, TEACHER)
        assert code(error) == "ThrottlingException"
        # Without maxTokens a call holds 5,000 for its answer, and gives back at its end what it did not use.
        for _ in range(3):
            ask(endpoint, STUDENT)
        with pytest.raises(ClientError, match="Too many tokens"):
            ask(endpoint, STUDENT)
