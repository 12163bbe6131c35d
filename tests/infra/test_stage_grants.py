"""Grants that depend on the stage's models, inference profiles and KMS keys, compared with what AWS documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from distillation.models import catalog, ids
from tests.infra.conftest import CONFIGURED, KEY
from tests.infra.template_readers import ACCOUNT, REGION, Templates, listed
from tests.support.grant_check import NOT_NEEDED_BY_RUNS

STAGE = json.loads((Path(__file__).parents[2] / "cdk.json").read_text("utf-8"))["context"]["stages"]["dev"]
MODEL_KINDS = ("application-inference-profile/", "foundation-model/", "inference-profile/")
KEY_ACTIONS = {
    "s3:GetObject": {("kms:Decrypt", "s3")},
    "s3:PutObject": {("kms:GenerateDataKey", "s3")},
    "bedrock:CreateModelCustomizationJob": {
        (f"kms:{action}", "bedrock") for action in ("CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey")
    },
    "bedrock:CreateCustomModelDeployment": {("kms:Decrypt", "bedrock")},
    "bedrock:UpdateCustomModelDeployment": {("kms:Decrypt", "bedrock")},
    "bedrock:GetCustomModel": {("kms:Decrypt", "bedrock")},
}
"""Actions on a key and the service that acts for the caller, keyed by the action that needs them.

Roles that ask tuned models have GetCustomModel.
"""


@pytest.fixture
def default_stage(storage: Template, pipeline: Template) -> Templates:
    return Templates(storage, pipeline)


@pytest.fixture
def configured_stage(configured_storage: Template, configured_pipeline: Template) -> Templates:
    return Templates(configured_storage, configured_pipeline)


def test_every_role_has_exactly_the_key_actions_that_its_other_actions_need(configured_stage: Templates) -> None:
    found, needed = set[tuple[str, str, str]](), set[tuple[str, str, str]]()
    for role, action, resource, condition in role_grants(configured_stage):
        if action.startswith("kms:"):
            assert resource == KEY
            service = condition["StringEquals"]["kms:ViaService"].removesuffix(f".{REGION}.amazonaws.com")
            found.add((role, action, service))
        needed |= {(role, *key_action) for key_action in KEY_ACTIONS.get(action, ())}

    assert found == needed
    assert len(found) > 40


def test_steps_may_use_exactly_the_models_of_the_stage(default_stage: Templates) -> None:
    assert models_of_steps(default_stage) == expected_models(STAGE["teachers"], {})


def test_steps_may_use_exactly_the_models_and_profiles_of_the_stage(configured_stage: Templates) -> None:
    found = models_of_steps(configured_stage)

    assert found == expected_models(CONFIGURED["teachers"], CONFIGURED["profiles"])
    assert len({resource for _, _, resource, _ in found}) == 15


@pytest.mark.parametrize("pattern", NOT_NEEDED_BY_RUNS)
def test_grant_that_no_run_of_the_tests_needs_is_there(default_stage: Templates, pattern: str) -> None:
    hash_of_name = re.compile(r"[0-9A-F]{8}(?= |/|$)")
    found = [
        f"{role} {action} {resource}".replace(":::Data", ":::data").replace(":::Photos", ":::photos")
        for role, action, resource, _ in role_grants(default_stage)
    ]

    assert len([grant for grant in found if fnmatchcase(hash_of_name.sub("", grant), pattern)]) == 1


def role_grants(templates: Templates) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield role, action, resource and condition of what the roles' policies allow."""
    policies = [
        (name, policy)
        for name, role in templates.resources("AWS::IAM::Role").items()
        for policy in role.get("Policies", [])
    ]
    for policy in templates.resources("AWS::IAM::Policy").values():
        policies += [(name, policy) for name in policy["Roles"]]
    for name, policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield name, action, resource, statement.get("Condition", {})


def models_of_steps(templates: Templates) -> set[tuple[str, str, str, str]]:
    """Return step, action, resource and condition of what the roles may do with foundation models and profiles."""
    return {
        (role[: role.index("Role")], action, resource, json.dumps(condition))
        for role, action, resource, condition in role_grants(templates)
        if resource.split(":", 5)[-1].startswith(MODEL_KINDS)
    }


def expected_models(teachers: Sequence[str], profiles: Mapping[str, str]) -> set[tuple[str, str, str, str]]:
    """Return what the steps of a stage with these teachers and application profiles need."""
    training = [foundation_model(catalog.get_model(student).training_id or "") for student in STAGE["students"]]
    asked = {"Prepare": teachers, "Label": teachers, "Predict": [*teachers, *STAGE["students"]]}
    return {
        *(("Prepare", "bedrock:GetFoundationModel", arn, "{}") for arn in training),
        *(("Customize", "bedrock:CreateModelCustomizationJob", arn, "{}") for arn in training),
        *((step, *grant) for step, models in asked.items() for model in models for grant in inference(model, profiles)),
    }


def inference(model: str, profiles: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield action, resource and condition that inference with a model needs.

    Source: "Prerequisites for running model inference", "Geographic cross-Region inference" and "Global cross-Region
    inference", Amazon Bedrock user guide.
    """
    prefix, name = ids.profile_prefix(model), ids.foundation_id(model)
    profile = profiles.get(model) or f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{model}"
    if not prefix and model not in profiles:
        yield "bedrock:InvokeModel", foundation_model(name), "{}"
        return
    through = {"bedrock:InferenceProfileArn": profile}
    yield "bedrock:GetInferenceProfile", profile, "{}"
    yield "bedrock:InvokeModel", profile, "{}"
    for region in ("us-east-1", "us-east-2", "us-west-2") if prefix == "us" else (REGION,):
        yield "bedrock:InvokeModel", foundation_model(name, region), json.dumps({"StringEquals": through})
    if prefix == "global":
        anywhere = {"StringEquals": {**through, "aws:RequestedRegion": "unspecified"}}
        yield "bedrock:InvokeModel", foundation_model(name, ""), json.dumps(anywhere)


def foundation_model(name: str, region: str = REGION) -> str:
    """Return the ARN of a foundation model."""
    return f"arn:aws:bedrock:{region}::foundation-model/{name}"
