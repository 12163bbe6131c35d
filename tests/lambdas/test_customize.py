from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import keys
from tests.support.builders import any_run
from tests.support.lambda_functions import Functions
from tests.support.training_jobs import JOB_ARN, NAME, ROLE_ARN, expect_creation, split_bucket


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return a dictionary for the parameters of CreateModelCustomizationJob."""
    client: Any = boto3.client("bedrock")
    parameters: dict[str, Any] = {}
    client.meta.events.register(
        "provide-client-params.bedrock.CreateModelCustomizationJob", lambda params, **_: parameters.update(params)
    )
    monkeypatch.setenv("BEDROCK_ROLE_ARN", ROLE_ARN)
    monkeypatch.setenv("STUCK_JOB_HOURS", "24")
    monkeypatch.setattr("lambdas.customize.bedrock", lambda: client)
    with Stubber(client) as bedrock:
        expect_creation(bedrock)
        yield parameters


@pytest.mark.parametrize("key_arn", ["", "arn:aws:kms:us-east-1:000000000000:key/1"])
def test_job_has_the_role_and_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], key_arn: str
) -> None:
    monkeypatch.setenv("MODEL_KMS_KEY_ARN", key_arn)
    functions = Functions(monkeypatch)
    split_bucket(functions.data)
    functions.data.write_document(keys.request_key("holiday-1"), any_run())
    result = functions.invoke("customize", {"run": "holiday-1", "size": 12})

    assert result == {
        "status": "InProgress",
        "model_name": NAME,
        "job_arn": JOB_ARN,
        "model_arn": None,
        "trained_by": None,
    }
    assert (parameters["roleArn"], parameters.get("customModelKmsKeyId", "")) == (ROLE_ARN, key_arn)
