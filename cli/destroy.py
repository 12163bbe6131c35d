"""``make destroy``: take a stage down on AWS, in the order in which things cost and depend on each other.

First what no stack knows of (jobs, deployments, tuned models, by our tags), then the stacks, and last, only
when their name is typed, the buckets, which the stacks leave behind.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.clean_up.leftovers import take_down
from lambdas.shared.errors import DistillationError
from lambdas.shared.tags import STAGE_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make destroy", description=__doc__)
    parser.add_argument("--stage", default="dev")
    parser.add_argument("--region", default="us-east-1")
    arguments = parser.parse_args()
    session = boto3.session.Session(region_name=arguments.region)
    try:
        buckets = stage_buckets(session.client("cloudformation"), arguments.stage)
        removed = take_down({"key": STAGE_TAG, "value": arguments.stage}, {}, set(), session.client("bedrock"))
        _say(f"stopped: {removed['stopped'] or 'no job'}; deleted: {removed['deleted'] or 'no model'}")
        stacks = [f"Distill-{arguments.stage}-Pipeline", f"Distill-{arguments.stage}-Storage"]
        command = ["npx", "--no-install", "cdk", "destroy", "-c", f"stage={arguments.stage}", *stacks]
        subprocess.run(command, check=True)
        for bucket in buckets:
            offer_to_delete(session.client("s3"), bucket, input)
    except (BotoCoreError, ClientError, DistillationError, subprocess.CalledProcessError) as error:
        _say(f"make destroy: {error}. Mend that and run it again: it goes on where it stopped")
        return 1
    return 0


def stage_buckets(cloudformation: Any, stage: str) -> list[str]:
    """Return the buckets that a stage's storage stack holds, access logs last; none once it is gone."""
    name = f"Distill-{stage}-Storage"
    try:
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    except ClientError:
        return []
    found = [r for r in resources if r["ResourceType"] == "AWS::S3::Bucket"]
    found.sort(key=lambda resource: resource["LogicalResourceId"].startswith("AccessLogs"))
    return [resource["PhysicalResourceId"] for resource in found]


def offer_to_delete(s3: S3Client, bucket: str, ask: Callable[[str], str]) -> bool:
    """Delete a bucket with all its versions if its name is typed; return whether it was."""
    answer = ask(f"Bucket {bucket} stays. Type its name to delete it with all it holds: ")
    if answer.strip() != bucket:
        _say(f"kept {bucket}")
        return False
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        doomed: list[ObjectIdentifierTypeDef] = [
            {"Key": one.get("Key", ""), "VersionId": one.get("VersionId", "")} for one in versions
        ]
        if doomed:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)
    _say(f"deleted {bucket}")
    return True


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
