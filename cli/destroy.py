"""``distill destroy``: take a stage down on AWS, in the order in which things cost and depend on each other.

First what no stack knows of (jobs, deployments, tuned models, by our tags), then the stacks, and last, only
when their name is typed, the buckets, which the stacks leave behind.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cli.console import Refused, say
from cli.stage import Stage
from lambdas.shared.holdings import deployments_and_models, remove, running_jobs, stop
from lambdas.shared.tags import STAGE_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


def destroy_stage(stage: Stage) -> None:
    """Take all of a stage down, whatever its runs keep; raises ``Refused`` naming what stopped it.

    Running it again goes on there.
    """
    buckets = stage_buckets(stage.client("cloudformation"), stage.name)
    bedrock, tag = stage.client("bedrock"), (STAGE_TAG, stage.name)
    stopped = stop(running_jobs(tag, "", bedrock), bedrock)
    deleted = remove(deployments_and_models(tag, "", bedrock), bedrock)
    say(f"stopped: {', '.join(stopped) or 'no job'}; deleted: {', '.join(deleted) or 'no model'}")
    stacks = [f"Distill-{stage.name}-Pipeline", f"Distill-{stage.name}-Storage"]
    try:
        subprocess.run(["npx", "--no-install", "cdk", "destroy", "-c", f"stage={stage.name}", *stacks], check=True)
    except subprocess.CalledProcessError as error:
        raise Refused(f"{error}. Mend that and run it again: it goes on where it stopped") from None
    for bucket in buckets:
        offer_to_delete(stage.client("s3"), bucket, input)


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
        say(f"kept {bucket}")
        return False
    empty(s3, bucket)
    s3.delete_bucket(Bucket=bucket)
    say(f"deleted {bucket}")
    return True


def empty(s3: S3Client, bucket: str) -> None:
    """Delete all versions of all objects in a bucket."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        doomed: list[ObjectIdentifierTypeDef] = [
            {"Key": one.get("Key", ""), "VersionId": one.get("VersionId", "")} for one in versions
        ]
        if doomed:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
