from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from distillation.models import catalog
from infra.config import StageConfig
from infra.steps import Steps
from tests.infra.resources import actions, role_statements

ROOT = Path(__file__).parents[2]
STAGE = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]["dev"]


@pytest.mark.parametrize(
    ("step", "allowed"),
    [("Label", STAGE["teachers"]), ("Predict", [*STAGE["teachers"], *STAGE["students"]])],
)
def test_only_the_models_of_the_stage_can_be_invoked(pipeline: Template, step: str, allowed: list[str]) -> None:
    (statement,) = [
        s for s in role_statements(pipeline, f"{step}Role") if "foundation-model" in json.dumps(s["Resource"])
    ]
    text = json.dumps(statement["Resource"])

    assert statement["Action"] == "bedrock:InvokeModel"
    for model in catalog.models():
        assert (f'foundation-model/{model}"' in text) == (model in allowed)


@pytest.mark.parametrize("step", ["Predict", "Deploy"])
def test_steps_that_ask_tuned_models_may_invoke_deployments_and_get_their_models(pipeline: Template, step: str) -> None:
    granted = {
        (action, kind)
        for statement in role_statements(pipeline, f"{step}Role")
        for action in ("bedrock:InvokeModel", "bedrock:GetCustomModel")
        for kind in ("custom-model-deployment/*", "custom-model/*")
        if action in actions([statement]) and f":{kind}" in json.dumps(statement["Resource"])
    }

    assert granted == {
        ("bedrock:InvokeModel", "custom-model-deployment/*"),
        ("bedrock:GetCustomModel", "custom-model/*"),
    }


@pytest.mark.parametrize("step", ["Label", "Predict"])
def test_steps_that_wait_for_a_daily_quota_may_announce_it(pipeline: Template, step: str) -> None:
    statements = role_statements(pipeline, f"{step}Role")
    (topic,) = [s["Resource"] for s in statements if s["Action"] == "sns:Publish"]
    functions = pipeline.find_resources(
        "AWS::Lambda::Function", {"Properties": {"Handler": f"lambdas.{step.lower()}.handler"}}
    )
    (function,) = functions.values()

    assert topic == function["Properties"]["Environment"]["Variables"]["TOPIC_ARN"]
    assert any(
        s["Action"] == "s3:PutObject" and "work/*/daily-quota.json" in json.dumps(s["Resource"]) for s in statements
    )


def test_prepare_may_read_the_limits_of_the_account(pipeline: Template) -> None:
    granted = actions(role_statements(pipeline, "PrepareRole"))

    assert {"lambda:GetAccountSettings", "servicequotas:GetServiceQuota"} <= set(granted)


@pytest.mark.parametrize(
    ("step", "forbidden"),
    [
        ("Resize", ["bedrock:*", "s3:Delete*"]),
        ("Label", ["bedrock:Create*", "s3:Delete*", "iam:*"]),
        ("CleanUp", ["s3:Put*", "s3:Delete*", "bedrock:Create*"]),
        ("RecordFailure", ["s3:Delete*", "bedrock:*"]),
    ],
)
def test_step_has_no_permission_beyond_its_task(pipeline: Template, step: str, forbidden: list[str]) -> None:
    granted = actions(role_statements(pipeline, f"{step}Role"))

    assert granted
    assert not [a for a in granted for pattern in forbidden if fnmatchcase(a, pattern)]


def test_steps_that_create_invoke_or_update_deployments_may_use_the_kms_key() -> None:
    stack = cdk.Stack(cdk.App(context={"aws:cdk:bundling-stacks": []}), "S", env=cdk.Environment(region="us-east-1"))
    key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    steps = Steps(
        stack,
        bedrock_role=iam.Role(stack, "Bedrock", assumed_by=iam.ServicePrincipal("bedrock.amazonaws.com")),
        config=StageConfig.model_validate({"stage": "dev", **STAGE, "model_kms_key_arn": key}),
        data=s3.Bucket(stack, "Data"),
        dead_letters=sqs.Queue(stack, "DeadLetters"),
        photos=s3.Bucket(stack, "Photos"),
        topic=sns.Topic(stack, "Topic"),
    )
    roles = Template.from_stack(stack)
    using = {"bedrock:CreateCustomModelDeployment", "bedrock:UpdateCustomModelDeployment"}
    granted = {step: actions(role_statements(roles, f"{step}Role")) for step in steps.functions}

    assert {step for step, may in granted.items() if "kms:Decrypt" in may} == {
        *("Customize", "Predict"),
        *(step for step, may in granted.items() if may & using),
    }


def test_no_statement_grants_all_actions_of_a_service(pipeline: Template) -> None:
    for role in pipeline.find_resources("AWS::IAM::Role"):
        assert not [action for action in actions(role_statements(pipeline, role)) if "*" in action]


def test_every_function_runs_the_same_python_on_arm(pipeline: Template) -> None:
    functions = pipeline.find_resources("AWS::Lambda::Function").values()
    ours = [f["Properties"] for f in functions if f["Properties"]["Handler"].startswith("lambdas.")]

    assert len(ours) == 19
    for function in ours:
        assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["arm64"])
        step = function["Handler"].split(".")[1]
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == step
        assert (ROOT / "lambdas" / f"{step}.py").exists()
