from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from distillation.models import catalog
from tests.infra.template_readers import actions, role_statements
from tests.support.synthesis import synthesise

ROOT = Path(__file__).parents[2]
STAGE = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]["dev"]


@pytest.mark.parametrize(
    ("step", "allowed"),
    [("Label", STAGE["teachers"]), ("Predict", [*STAGE["teachers"], *STAGE["students"]])],
)
def test_only_the_models_of_the_stage_can_be_invoked(pipeline: Template, step: str, allowed: list[str]) -> None:
    statements = [s for s in role_statements(pipeline, f"{step}Role") if "foundation-model" in json.dumps(s)]
    profiles = [s for s in role_statements(pipeline, f"{step}Role") if "inference-profile/" in json.dumps(s)]
    text = json.dumps([statement["Resource"] for statement in [*statements, *profiles]])

    assert {statement["Action"] for statement in statements} == {"bedrock:InvokeModel"}
    for model in catalog.models():
        assert (f'foundation-model/{model}"' in text or f'inference-profile/{model}"' in text) == (model in allowed)


def test_layers_without_packages_never_share_an_asset_with_those_that_have_them(
    pipeline: Template, tmp_path: Path
) -> None:
    # The CDK keeps an asset in cdk.out, where a deployment to AWS would find the empty one.
    unbundled = Template.from_stack(synthesise("dev", tmp_path, bundle_layers=False)[1].pipeline)
    contents = [
        {layer["Properties"]["Content"]["S3Key"] for layer in layers.values()}
        for layers in (t.find_resources("AWS::Lambda::LayerVersion") for t in (pipeline, unbundled))
    ]

    assert len(contents[0]) == 2
    assert contents[0] & contents[1] == set()


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


@pytest.mark.parametrize("step", ["Label", "Deploy", "Predict"])
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
        ("RecordFailure", ["s3:Delete*", "bedrock:[!L]*"]),
    ],
)
def test_step_has_no_permission_beyond_its_task(pipeline: Template, step: str, forbidden: list[str]) -> None:
    granted = actions(role_statements(pipeline, f"{step}Role"))

    assert granted
    assert not [a for a in granted for pattern in forbidden if fnmatchcase(a, pattern)]


def test_no_statement_grants_all_actions_of_a_service(pipeline: Template) -> None:
    for role in pipeline.find_resources("AWS::IAM::Role"):
        assert not [action for action in actions(role_statements(pipeline, role)) if "*" in action]


def test_every_function_runs_the_same_python_on_arm(pipeline: Template) -> None:
    functions = pipeline.find_resources("AWS::Lambda::Function").values()
    ours = [f["Properties"] for f in functions if f["Properties"]["Handler"].startswith("lambdas.")]

    assert len(ours) == 20
    for function in ours:
        assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["arm64"])
        step = function["Handler"].split(".")[1]
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == step
        assert (ROOT / "lambdas" / f"{step}.py").exists()


def test_limits_of_the_stage_reach_the_functions_that_check_them(configured_pipeline: Template) -> None:
    def environment(step: str) -> dict[str, Any]:
        pattern = {"Properties": {"Handler": f"lambdas.{step}.handler"}}
        (function,) = configured_pipeline.find_resources("AWS::Lambda::Function", pattern).values()
        return function["Properties"]["Environment"]["Variables"]

    defaults = json.dumps(environment("prepare")["STAGE_DEFAULTS"]).replace("\\", "")

    assert '"max_usd_per_run":150' in defaults
    assert '"max_usd_per_month":1000' in defaults
    assert '"shared_models":["holiday-3f2a9c1b7d"]' in defaults
    assert environment("await_upload")["MAX_PHOTOS"] == "5000"


def test_only_prepare_reads_and_writes_the_budget_of_the_month(pipeline: Template) -> None:
    granted = {
        (name.partition("Role")[0], action)
        for name in pipeline.find_resources("AWS::IAM::Role")
        for statement in role_statements(pipeline, name)
        if "/budget/*" in json.dumps(statement["Resource"])
        for action in actions([statement])
    }

    assert granted == {("Prepare", "s3:GetObject"), ("Prepare", "s3:PutObject")}


@pytest.mark.parametrize(
    ("step", "action", "resource"),
    [
        ("AwaitUpload", "s3:PutObject", "runs/*/listing.jsonl"),
        ("Split", "s3:GetObject", "runs/*/listing.jsonl"),
        ("ListImages", "s3:GetObject", "runs/*/listing.jsonl"),
        ("WriteDataset", "s3:GetObject", "runs/*/inventory.jsonl"),
        ("WriteDataset", "s3:GetObject", "runs/*/listing.jsonl"),
        ("ValidateDataset", "s3:PutObject", "runs/*/dataset/hashes.json"),
        ("Estimate", "s3:GetObject", "runs/*/report/estimate.json"),  # The plan of the round before.
        ("Evaluate", "s3:GetObject", "calibration/*"),  # The price of the next round of a run with `grow`.
        ("WriteResults", "s3:GetObject", "runs/*/listing.jsonl"),
        ("WriteResults", "s3:GetObject", "runs/*/splits/images.jsonl"),
        *((step, "s3:GetObject", "runs/*/report/report.json") for step in ("ListImages", "WriteResults")),
        # Without s3:ListBucket, S3 answers 403 instead of 404 about a photo that was deleted.
        *((step, "s3:ListBucket", "Photos") for step in ("Prepare", "AwaitUpload", "Resize", "Split", "ListImages")),
        *((step, "s3:GetObject", "/*vocabulary.csv") for step in ("Prepare", "Split")),
    ],
)
def test_steps_that_account_for_every_photo_and_line_may_do_so(
    pipeline: Template, step: str, action: str, resource: str
) -> None:
    statements = role_statements(pipeline, f"{step}Role")

    assert [s for s in statements if action in actions([s]) and resource in json.dumps(s["Resource"])]
