from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from distillation.errors import InvalidRequest
from infra.config import StageConfig

NOVA = {
    "stage": "dev",
    "region": "us-east-1",
    "teachers": ["amazon.nova-pro-v1:0"],
    "students": ["amazon.nova-lite-v1:0"],
    "concurrency": {"resize": 1, "label": 1, "predict": 1},
}


def test_synth_refuses_a_region_where_the_student_is_not_tuned() -> None:
    with pytest.raises(ValidationError, match="us-east-1, not in 'eu-west-1'"):
        StageConfig.model_validate(NOVA | {"region": "eu-west-1"})


def test_synth_refuses_a_teacher_that_no_table_knows() -> None:
    with pytest.raises(InvalidRequest, match="unknown model"):
        StageConfig.model_validate(NOVA | {"teachers": ["nova"]})


def test_synth_refuses_a_student_that_cannot_be_tuned() -> None:
    with pytest.raises(ValidationError, match=r"Bedrock tunes .local.teacher-pixels"):
        StageConfig.model_validate(NOVA | {"students": ["local.teacher-pixels-v1:0"]})


def test_synth_refuses_a_profile_that_cannot_be_asked_from_the_region() -> None:
    with pytest.raises(InvalidRequest, match="not in 'us-east-1'"):
        StageConfig.model_validate(NOVA | {"teachers": ["eu.amazon.nova-pro-v1:0"]})


@pytest.mark.parametrize(
    "profiles",
    [
        {"amazon.nova-lite-v1:0": "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1"},
        {"amazon.nova-pro-v1:0": "arn:aws:bedrock:us-west-2:111122223333:application-inference-profile/a1"},
        {"amazon.nova-pro-v1:0": "us.amazon.nova-pro-v1:0"},
    ],
)
def test_synth_refuses_an_application_profile_that_is_not_one_of_a_teacher_here(profiles: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="'profiles' maps a teacher of the stage"):
        StageConfig.model_validate(NOVA | {"profiles": profiles})


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ({"amazon.nova-premier-v1:0": {"requests_per_minute": 25}}, "neither among its 'teachers' nor its 'students'"),
        ({"amazon.nova-pro-v1:0": {"requests": 25}}, "Extra inputs are not permitted"),
        ({"amazon.nova-pro-v1:0": {"requests_per_minute": 0}}, "greater than 0"),
    ],
)
def test_synth_refuses_quotas_that_would_not_be_heeded(quotas: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate(NOVA | {"quotas": quotas})


@pytest.mark.parametrize(
    "key",
    [
        "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:us-east-1:111122223333:alias/models",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
    ],
)
def test_synth_refuses_a_key_that_no_grant_could_name(key: str) -> None:
    with pytest.raises(ValidationError, match="'custom_model_kms_key_id' must be the ARN of a key"):
        StageConfig.model_validate(NOVA | {"custom_model_kms_key_id": key})
