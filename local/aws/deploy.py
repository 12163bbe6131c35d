"""Deploy a cloud assembly as the CDK CLI would: publish its files, then create stack after stack.

The templates go in as they are, so what runs here is what a deployment to AWS would create.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.aws.emulator import ACCOUNT, REGION, AwsEmulator

_BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"


class DeploymentFailed(Exception):
    """A stack could not be created; the text names the resource and the reason."""


def deploy(cloud: AwsEmulator, cdk_out: Path) -> dict[str, dict[str, str]]:
    """Create or update every stack, and return each one's outputs by the stack's name."""
    cloud.client("ssm").put_parameter(Name=_BOOTSTRAP_VERSION, Value="30", Type="String", Overwrite=True)
    artifacts = json.loads((cdk_out / "manifest.json").read_text("utf-8"))["artifacts"]
    outputs: dict[str, dict[str, str]] = {}
    for name, artifact in _in_order(artifacts):
        if artifact["type"] == "cdk:asset-manifest":
            _publish(cloud, cdk_out, cdk_out / artifact["properties"]["file"])
        elif artifact["type"] == "aws:cloudformation:stack":
            stack = artifact["properties"].get("stackName", name)
            outputs[stack] = _create(cloud, stack, artifact["properties"])
    return outputs


def _in_order(artifacts: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give each artifact after those that it depends on."""
    given: set[str] = set()

    def give(name: str) -> Iterator[tuple[str, Any]]:
        if name in given:
            return
        given.add(name)
        for dependency in artifacts[name].get("dependencies", []):
            yield from give(dependency)
        yield name, artifacts[name]

    for name in artifacts:
        yield from give(name)


def _publish(cloud: AwsEmulator, cdk_out: Path, manifest: Path) -> None:
    s3 = cloud.client("s3")
    for asset in json.loads(manifest.read_text("utf-8"))["files"].values():
        path = cdk_out / asset["source"]["path"]
        body = _zipped(path) if asset["source"]["packaging"] == "zip" else path.read_bytes()
        for destination in asset["destinations"].values():
            bucket = _here(destination["bucketName"])
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=_here(destination["objectKey"]), Body=body)


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def _here(text: str) -> str:
    """Replace the assembly's placeholders by this AWS's values."""
    values = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws"}
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def _create(cloud: AwsEmulator, stack: str, properties: dict[str, Any]) -> dict[str, str]:
    cloudformation = cloud.client("cloudformation")
    bucket, _, key = _here(properties["stackTemplateAssetObjectUrl"])[len("s3://") :].partition("/")
    request = {
        "StackName": stack,
        "TemplateURL": f"{cloud.url}/{bucket}/{key}",
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Tags": [{"Key": k, "Value": v} for k, v in properties.get("tags", {}).items()],
    }
    try:
        if _exists(cloudformation, stack):
            cloudformation.update_stack(**request)
        else:
            cloudformation.create_stack(**request)
    except cloudformation.exceptions.ClientError as refusal:
        if "No updates are to be performed" not in str(refusal):
            raise DeploymentFailed(f"{stack}: {refusal}") from refusal
    return _outputs(cloudformation, stack)


def _exists(cloudformation: Any, stack: str) -> bool:
    try:
        cloudformation.describe_stacks(StackName=stack)
    except cloudformation.exceptions.ClientError as absence:
        if "does not exist" not in str(absence):
            raise
        return False
    return True


def _outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    """Wait for the end of a deployment and return the stack's outputs."""
    while True:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if not found["StackStatus"].endswith("_IN_PROGRESS"):
            break
        time.sleep(0.05)
    if found["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeploymentFailed(f"{stack}: {found['StackStatus']}: {_reasons(cloudformation, stack)}")
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def _reasons(cloudformation: Any, stack: str) -> str:
    """Say what failed, in the checks before anything is made or in the making."""
    checks = cloudformation.describe_events(StackName=stack)["OperationEvents"]
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [
        *((e["LogicalResourceId"], e["ValidationStatusReason"]) for e in checks if "ValidationName" in e),
        *(
            (e["LogicalResourceId"], e.get("ResourceStatusReason", "no reason given"))
            for e in reversed(events)
            if e["ResourceStatus"].endswith("_FAILED")
        ),
    ]
    return "; ".join(f"{resource}: {reason}" for resource, reason in failed)
