"""Deploy a cloud assembly as ``cdk deploy`` does: publish the assets, then create the stacks in order."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

from local.cloud.embedded import ACCOUNT, REGION, EmbeddedAws

_ENDED = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


class DeployFailed(Exception):
    """A stack was not created; the message names the resource and its reason."""


def deploy(cloud: EmbeddedAws, cdk_out: Path) -> dict[str, dict[str, str]]:
    """Deploy all stacks of ``cdk_out``; return their outputs by stack name."""
    artifacts = json.loads((cdk_out / "manifest.json").read_text("utf-8"))["artifacts"]
    stacks = {n: a for n, a in artifacts.items() if a["type"] == "aws:cloudformation:stack"}
    cloud.client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True
    )
    outputs: dict[str, dict[str, str]] = {}
    while len(outputs) < len(stacks):
        ready = [
            name
            for name, artifact in stacks.items()
            if name not in outputs
            and all(d in outputs for d in artifact.get("dependencies", []) if d in stacks)
        ]
        for name in ready:
            url = _publish(cloud, cdk_out, name)
            outputs[name] = _create(cloud, name, url)
    return outputs


def _publish(cloud: EmbeddedAws, cdk_out: Path, stack: str) -> str:
    """Upload a stack's file assets, its template among them; return the template's URL."""
    s3, url = cloud.client("s3"), ""
    assets = json.loads((cdk_out / f"{stack}.assets.json").read_text("utf-8"))["files"]
    for asset in assets.values():
        source = cdk_out / asset["source"]["path"]
        body = _zipped(source) if asset["source"]["packaging"] == "zip" else source.read_bytes()
        for destination in asset["destinations"].values():
            bucket, key = _resolved(destination["bucketName"]), _resolved(destination["objectKey"])
            _ensure_bucket(s3, bucket)
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            if source.name == f"{stack}.template.json":
                url = f"{cloud.url}/{bucket}/{key}"
    return url


def _resolved(text: str) -> str:
    return (
        text.replace("${AWS::AccountId}", ACCOUNT)
        .replace("${AWS::Region}", REGION)
        .replace("${AWS::Partition}", "aws")
    )


def _ensure_bucket(s3: Any, bucket: str) -> None:
    if bucket not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=bucket)


def _zipped(folder: Path) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return output.getvalue()


def _create(cloud: EmbeddedAws, stack: str, url: str) -> dict[str, str]:
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(
        StackName=stack,
        TemplateURL=url,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    while True:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if not found["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.05)
    if found["StackStatus"] not in _ENDED:
        events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in events
            if "FAILED" in event["ResourceStatus"]
        ]
        raise DeployFailed(f"{stack}: {found['StackStatus']}: {'; '.join(failed)}")
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
