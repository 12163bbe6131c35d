from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest
from pydantic import ValidationError

from distillation.errors import InvalidRequest
from infra.config import StageConfig
from local import ROOT

NOVA = {
    "stage": "dev",
    "region": "us-east-1",
    "teachers": ["amazon.nova-pro-v1:0"],
    "students": ["amazon.nova-lite-v1:0"],
    "concurrency": {"resize": 1, "label": 1, "predict": 1},
}


@pytest.mark.parametrize(
    ("variable", "context", "stage"),
    [
        (None, {}, "dev"),
        ("", {}, "dev"),
        ("local", {}, "local"),
        ("local", {"stage": "dev"}, "dev"),
        (None, {"stage": "local"}, "local"),
    ],
    ids=["default", "empty", "variable", "context-wins", "context"],
)
def test_stage_is_that_of_the_context_or_of_the_environment_variable_or_dev(
    variable: str | None, context: dict[str, str], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("DISTILL_STAGE", variable)
    stages = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]

    assert StageConfig.from_context(cdk.App(context=stages | context).node).stage == stage


def test_unknown_stage_of_the_environment_variable_is_refused_with_those_of_cdk_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISTILL_STAGE", "prod")
    stages = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]

    with pytest.raises(ValueError, match=r"stage 'prod' is not defined .*dev, local.*or DISTILL_STAGE"):
        StageConfig.from_context(cdk.App(context=stages).node)


def test_region_where_the_student_cannot_be_trained_is_rejected() -> None:
    with pytest.raises(ValidationError, match=r"cannot be trained in 'eu-west-1' .Regions: us-east-1"):
        StageConfig.model_validate(NOVA | {"region": "eu-west-1"})


def test_unknown_teacher_is_rejected() -> None:
    with pytest.raises(InvalidRequest, match="unknown model"):
        StageConfig.model_validate(NOVA | {"teachers": ["nova"]})


def test_student_that_cannot_be_trained_is_rejected() -> None:
    with pytest.raises(ValidationError, match=r"teacher-pixels-v1:0' cannot be trained in 'us-east-1' .Regions: none"):
        StageConfig.model_validate(NOVA | {"students": ["local.teacher-pixels-v1:0"]})


def test_profile_that_cannot_be_invoked_from_the_region_is_rejected() -> None:
    with pytest.raises(InvalidRequest, match="not from 'us-east-1'"):
        StageConfig.model_validate(NOVA | {"teachers": ["eu.amazon.nova-pro-v1:0"]})


@pytest.mark.parametrize(
    "profiles",
    [
        {"amazon.nova-lite-v1:0": "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1"},
        {"amazon.nova-pro-v1:0": "arn:aws:bedrock:us-west-2:111122223333:application-inference-profile/a1"},
        {"amazon.nova-pro-v1:0": "us.amazon.nova-pro-v1:0"},
    ],
)
def test_application_profile_must_belong_to_a_teacher_and_the_region(profiles: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"'profiles' in cdk.json must map a teacher of the stage"):
        StageConfig.model_validate(NOVA | {"profiles": profiles})


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ({"amazon.nova-premier-v1:0": {"requests_per_minute": 25}}, "not one of the stage's 'teachers' or 'students'"),
        ({"amazon.nova-pro-v1:0": {"requests": 25}}, "Extra inputs are not permitted"),
        ({"amazon.nova-pro-v1:0": {"requests_per_minute": 0}}, "greater than 0"),
    ],
)
def test_quotas_without_effect_are_rejected(quotas: dict[str, Any], message: str) -> None:
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
@pytest.mark.parametrize("field", ["bucket_kms_key_arn", "model_kms_key_arn"])
def test_kms_key_must_be_a_key_arn_in_the_region(field: str, key: str) -> None:
    with pytest.raises(ValidationError, match=rf"'{field}' in cdk.json must be the ARN of a key"):
        StageConfig.model_validate(NOVA | {field: key})


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"cost-center": "42", "Owner": "", "a_b.c:d/e=f+g@h": "photo team"},
        {"k" * 128: "v" * 256},
        {f"tag-{n}": "value" for n in range(40)},
    ],
)
def test_tags_that_every_service_accepts_are_accepted(tags: dict[str, str]) -> None:
    assert StageConfig.model_validate(NOVA | {"tags": tags}).tags == tags


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"": "x"}, "a key has 1-128 characters"),
        ({"k" * 129: "x"}, "a key has 1-128 characters"),
        ({"größe": "x"}, "a key has 1-128 characters"),
        ({"key": "v" * 257}, "a value has at most 256 characters"),
        ({"key": "a\nb"}, "a value has at most 256 characters"),
        ({"aws:stage": "x"}, "are reserved"),
        ({"AWS:stage": "x"}, "are reserved"),
        ({"vision-distillation:stage": "prod"}, "are reserved"),
        ({"Owner": "a", "owner": "b"}, "Owner, owner differ only in case"),
        ({f"tag-{n}": "value" for n in range(41)}, "at most 40 tags"),
        ({f"tag-{n}": "v" * 200 for n in range(10)}, "with 2,000 characters of JSON"),
    ],
)
def test_tags_that_a_service_refuses_are_rejected(tags: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate(NOVA | {"tags": tags})


def test_limits_have_defaults() -> None:
    config = StageConfig.model_validate(NOVA)

    assert (config.max_usd_per_run, config.max_usd_per_month, config.max_photos) == (200, 500, 25_000)
    assert config.shared_models == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_usd_per_run": 0}, "greater than 0"),
        ({"max_usd_per_month": -1}, "greater than 0"),
        ({"max_photos": 15}, "greater than or equal to 16"),
        ({"max_usd_per_run": 600}, "'max_usd_per_run' 600.00 in cdk.json is above 'max_usd_per_month' 500.00. Lower"),
        ({"shared_models": ["holiday/"]}, "'shared_models' in cdk.json has 'holiday/', which is not the name of a run"),
        ({"shared_models": [f"run-{number}" for number in range(21)]}, "at most 20 items"),
        ({"max_usd": 1}, "Extra inputs are not permitted"),
    ],
)
def test_limits_without_effect_are_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate(NOVA | settings)
