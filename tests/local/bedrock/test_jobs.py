"""Customization jobs of the local endpoint, which checks its own responses against botocore's service model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.bedrock import Endpoint
from tests.support.local_bedrock import (
    KEY,
    Permissions,
    client,
    create_job,
    error_code,
    phase_statuses,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)

NOVA_2 = "local.student-pixels-2-v1:0:256k"
TAG = {"key": "vision-distillation:run", "value": "run"}


def test_same_token_returns_the_same_job_and_another_token_with_its_name_is_a_conflict(endpoint: Endpoint) -> None:
    assert create_job(endpoint) == create_job(endpoint)
    with pytest.raises(ClientError) as error:
        create_job(endpoint, clientRequestToken="other")
    assert error_code(error) == "ConflictException"


@pytest.mark.parametrize("changes", [{"baseModelIdentifier": "amazon.nova-lite-v1:0:300k"}, {"jobName": "a_b"}])
def test_job_with_an_invalid_field_is_refused(endpoint: Endpoint, changes: dict[str, str]) -> None:
    with pytest.raises(ClientError) as error:
        create_job(endpoint, **changes)
    assert error_code(error) == "ValidationException"


def test_job_shows_its_phases_and_ends_as_stopped_when_it_is_stopped(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path, stuck_jobs="-n10-") as endpoint:
        bedrock = client(endpoint, "bedrock")
        arn = create_job(endpoint)
        while phase_statuses(job := bedrock.get_model_customization_job(jobIdentifier=arn))[1] != "Completed":
            pass

        assert (job["status"], phase_statuses(job)) == ("InProgress", ["Completed", "Completed", "NotStarted"])
        assert datetime.now(UTC) - job["creationTime"] > timedelta(hours=24)
        bedrock.stop_model_customization_job(jobIdentifier=arn)
        assert wait_for_job(endpoint, arn)["status"] == "Stopped"
        with pytest.raises(ClientError) as error:
            bedrock.stop_model_customization_job(jobIdentifier=arn)
        assert error_code(error) == "ConflictException"
        assert bedrock.list_custom_models()["modelSummaries"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hyperParameters": {"epochCount": "9"}}, "epochCount must be a whole number from 1 to 5"),
        ({"hyperParameters": {"epochs": "2"}}, "unknown 'epochs'"),
        ({"hyperParameters": {"epochCount": "two"}}, "Invalid hyperparameters"),
        (
            {
                "baseModelIdentifier": NOVA_2,
                "validationDataConfig": {"validators": [{"s3Uri": "s3://data/train.jsonl"}]},
            },
            "Nova 2.0 doesn't support validation set",
        ),
    ],
)
def test_job_that_the_model_family_does_not_accept_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with running_endpoint(trainable_bucket(), tmp_path) as endpoint, pytest.raises(ClientError, match=message) as error:
        create_job(endpoint, **changes)
    assert error_code(error) == "ValidationException"


def test_model_has_the_kms_key_of_its_job_if_the_caller_may_use_it(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path, Permissions()) as endpoint:
        job = wait_for_job(endpoint, create_job(endpoint, customModelKmsKeyId=KEY))
        model = client(endpoint, "bedrock").get_custom_model(modelIdentifier=job["outputModelArn"])

        assert job["outputModelKmsKeyArn"] == model["modelKmsKeyArn"] == KEY
    denied = [("customModelKmsKeyId", KEY, "kms:CreateGrant"), ("jobTags", [TAG], "bedrock:TagResource")]
    for field, value, action in denied:
        with running_endpoint(trainable_bucket(), tmp_path, Permissions(action)) as endpoint:
            with pytest.raises(ClientError, match=action) as error:
                create_job(endpoint, **{field: value})
            assert error_code(error) == "AccessDeniedException"
