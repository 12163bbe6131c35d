"""Rules for the templates of both stacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from app import Stacks
from local import ROOT
from tests.infra.conftest import CONFIGURED

WITHOUT_TAGS = {
    *("AWS::IAM::Policy", "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission", "AWS::S3::BucketPolicy"),
    *("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "Custom::S3BucketNotifications", "Custom::SweepOnDeletion"),
}
"""Resource types that have no tags in CloudFormation."""


def test_stacks_share_values_by_exports(stacks: Stacks, pipeline: Template, storage: Template) -> None:
    exports = [output["Export"]["Name"] for output in storage.to_json()["Outputs"].values() if "Export" in output]
    text = json.dumps([pipeline.to_json(), storage.to_json()])

    # CloudFormation resolves each Fn::GetStackOutput with a call of its own and throttles deployments with many.
    # https://github.com/aws/aws-cdk/issues/38010
    assert "Fn::GetStackOutput" not in text
    assert all(f'{{"Fn::ImportValue": "{name}"}}' in text for name in exports)
    assert len(exports) == 4
    # CDK deploys Storage before Pipeline, and destroys them in the opposite order.
    assert stacks.pipeline.dependencies == [stacks.storage]


def test_every_resource_that_can_have_tags_has_those_of_the_stage(
    configured_pipeline: Template, configured_storage: Template
) -> None:
    expected = {**CONFIGURED["tags"], "vision-distillation:stage": "dev"}
    for template in (configured_pipeline, configured_storage):
        for name, resource in template.to_json()["Resources"].items():
            if resource["Type"] not in WITHOUT_TAGS:
                assert _tags(resource["Properties"].get("Tags", [])) == expected, name


def _tags(tags: Any) -> dict[str, str]:
    return tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}


def test_tags_of_the_stage_are_in_the_environment_of_prepare(configured_pipeline: Template) -> None:
    functions = configured_pipeline.find_resources("AWS::Lambda::Function")
    (prepare,) = [
        f["Properties"] for f in functions.values() if f["Properties"]["Handler"] == "lambdas.prepare.handler"
    ]
    variables = prepare["Environment"]["Variables"]
    parts = variables["STAGE_DEFAULTS"]["Fn::Join"][1]
    defaults = json.loads("".join(part if isinstance(part, str) else "account" for part in parts))

    assert defaults["tags"] == CONFIGURED["tags"]
    # Lambda limits the environment to 4 KB.
    assert len(json.dumps(variables)) < 4096


@pytest.mark.usefixtures("configured_pipeline")
def test_stage_with_every_option_has_no_lint_finding(configured_folder: Path) -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    templates = sorted(configured_folder.glob("*.template.json"))
    command = [linter, *templates]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert len(templates) == 2
    assert (result.returncode, result.stdout) == (0, "")
