"""Deploy a cloud assembly as the CDK CLI does: publish its files, then create one stack after another.

The templates are deployed unchanged, so that the resources are those of a deployment to AWS.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from local.aws.account import ACCOUNT, REGION
from local.aws.emulator import AwsEmulator

POLL_SECONDS = 0.05
_BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"


class DeploymentFailed(Exception):
    """A stack could not be created; the message names the resource and the reason."""


def deploy(aws: AwsEmulator, assembly: Path) -> dict[str, dict[str, str]]:
    """Create or update every stack and return the stacks' outputs, keyed by stack name; raise DeploymentFailed."""
    aws.client("ssm").put_parameter(Name=_BOOTSTRAP_VERSION, Value="30", Type="String", Overwrite=True)
    artifacts = json.loads((assembly / "manifest.json").read_text("utf-8"))["artifacts"]
    outputs: dict[str, dict[str, str]] = {}
    for name, artifact in _in_dependency_order(artifacts):
        if artifact["type"] == "cdk:asset-manifest":
            _publish(aws, assembly, assembly / artifact["properties"]["file"])
        elif artifact["type"] == "aws:cloudformation:stack":
            stack = artifact["properties"].get("stackName", name)
            outputs[stack] = _create_or_update(aws, stack, artifact["properties"])
    return outputs


def _in_dependency_order(artifacts: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the artifacts, each after those that it depends on."""
    dependencies = {name: artifact.get("dependencies", []) for name, artifact in artifacts.items()}
    return [(name, artifacts[name]) for name in TopologicalSorter(dependencies).static_order()]


def _publish(aws: AwsEmulator, assembly: Path, manifest: Path) -> None:
    """Put the files that an asset manifest lists into their buckets."""
    s3 = aws.client("s3")
    for asset in json.loads(manifest.read_text("utf-8"))["files"].values():
        path = assembly / asset["source"]["path"]
        body = _zip(path) if asset["source"]["packaging"] == "zip" else path.read_bytes()
        for destination in asset["destinations"].values():
            bucket = _fill_placeholders(destination["bucketName"])
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=_fill_placeholders(destination["objectKey"]), Body=body)


def _zip(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def _fill_placeholders(text: str) -> str:
    """Return ``text`` with the emulator's account, region and partition for the assembly's placeholders."""
    values = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws"}
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def _create_or_update(aws: AwsEmulator, stack: str, properties: dict[str, Any]) -> dict[str, str]:
    cloudformation = aws.client("cloudformation")
    bucket, _, key = _fill_placeholders(properties["stackTemplateAssetObjectUrl"])[len("s3://") :].partition("/")
    request = {
        "StackName": stack,
        "TemplateURL": f"{aws.url}/{bucket}/{key}",
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Tags": [{"Key": k, "Value": v} for k, v in properties.get("tags", {}).items()],
    }
    try:
        if _exists(cloudformation, stack):
            cloudformation.update_stack(**request)
        else:
            cloudformation.create_stack(**request)
    except cloudformation.exceptions.ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise DeploymentFailed(f"{stack}: {error}") from error
    return _wait_for_outputs(cloudformation, stack)


def _exists(cloudformation: Any, stack: str) -> bool:
    try:
        cloudformation.describe_stacks(StackName=stack)
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" not in str(error):
            raise
        return False
    return True


def _wait_for_outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    """Wait for the end of a deployment and return the stack's outputs."""
    while True:
        description = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        status = description["StackStatus"]
        if not status.endswith("_IN_PROGRESS"):
            break
        time.sleep(POLL_SECONDS)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeploymentFailed(f"{stack}: {status}: {_failures(cloudformation, stack)}")
    return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}


def _failures(cloudformation: Any, stack: str) -> str:
    """Return which resources failed and why, in the checks before creation and in the creation."""
    checks = cloudformation.describe_events(StackName=stack)["OperationEvents"]
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failures = [
        *((e["LogicalResourceId"], e["ValidationStatusReason"]) for e in checks if "ValidationName" in e),
        *(
            (e["LogicalResourceId"], e.get("ResourceStatusReason", "no reason given"))
            for e in reversed(events)
            if e["ResourceStatus"].endswith("_FAILED")
        ),
    ]
    return "; ".join(f"{resource}: {reason}" for resource, reason in failures)
