from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.aws.deploy import DeploymentFailed, deploy
from tests.local.aws.conftest import BUCKET, Account


def test_stacks_are_deployed_in_order_and_a_failure_names_its_resource(account: Account, tmp_path: Path) -> None:
    first = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}}},
    }
    weak = {"Fn::GetStackOutput": {"StackName": "First", "OutputName": "Name", "Region": "us-east-1"}}
    second = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Seen": {"Value": weak}},
    }
    write_assembly(tmp_path / "good", {"Second": (second, ["First"]), "First": (first, [])})
    outputs = deploy(account.aws, tmp_path / "good")
    assert list(outputs) == ["First", "Second"]
    assert outputs["Second"]["Seen"] == outputs["First"]["Name"]
    absent = {"ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:absent"}
    taken = {"Odd": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}}
    broken = {"Odd": {"Type": "AWS::CloudFormation::CustomResource", "Properties": absent}}
    for name, resources, reason in (("Taken", taken, "already exists"), ("Broken", broken, "not found")):
        write_assembly(tmp_path / name, {name: ({"Resources": resources}, [])})
        with pytest.raises(DeploymentFailed, match=f"{name}.*Odd: .*{reason}"):
            deploy(account.aws, tmp_path / name)


def write_assembly(folder: Path, stacks: dict[str, tuple[dict[str, Any], list[str]]]) -> None:
    folder.mkdir()
    artifacts: dict[str, Any] = {}
    for name, (template, dependencies) in stacks.items():
        destination = {"here": {"bucketName": "assets-${AWS::AccountId}", "objectKey": f"{name}.json"}}
        source = {"path": f"{name}.template.json", "packaging": "file"}
        asset = {"files": {"template": {"source": source, "destinations": destination}}}
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        (folder / f"{name}.assets.json").write_text(json.dumps(asset))
        artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json"},
        }
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"stackTemplateAssetObjectUrl": f"s3://assets-${{AWS::AccountId}}/{name}.json"},
            "dependencies": [f"{name}.assets", *dependencies],
        }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
