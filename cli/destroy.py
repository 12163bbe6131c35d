"""``distill destroy``: take a stage down on AWS, in the order in which things cost and depend on each other.

Nothing goes before it is known that the CDK runs and the stage's name is typed. First what no stack knows of (jobs,
deployments, tuned models, by our tags), then the stacks, and last, only when their name is typed, the buckets, which
the stacks leave behind.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cli.console import Refused, say
from cli.stage import ROOT, Stage, is_absent, settings_of
from distillation.serving.resources import deployments_and_models, remove, running_jobs, stop
from distillation.serving.tags import STAGE_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


def answer(question: str) -> str:
    """Return what is typed; nothing where nobody can."""
    try:
        return input(question)
    except EOFError:
        return ""


def destroy_stage(stage: Stage, *, sure: bool, ask: Callable[[str], str] = answer) -> None:
    """Take all of a stage down, whatever its runs keep; raises ``Refused`` naming what stopped it.

    Running it again goes on there, but buckets are found by the stack that made them: they are named before it goes.
    ``sure``: nothing is asked, and the buckets stay.
    """
    _check(stage)
    buckets = stage_buckets(stage.client("cloudformation"), stage.name)
    say(f"stage {stage.name}, {stage.region}: all jobs, deployments and tuned models, and both stacks will go")
    say(f"buckets: {', '.join(buckets) or _unknown_buckets(stage.name)}")
    if not sure and ask(f"Type {stage.name} to go on: ").strip() != stage.name:
        raise Refused("nothing was removed: the stage's name was not typed; in a script give --yes")
    bedrock, tag = stage.client("bedrock"), (STAGE_TAG, stage.name)
    stopped = stop(running_jobs(tag, "", bedrock), bedrock)
    deleted = remove(deployments_and_models(tag, "", bedrock), bedrock)
    say(f"stopped: {', '.join(stopped) or 'no job'}; deleted: {', '.join(deleted) or 'no model'}")
    stacks = [f"Distill-{stage.name}-Pipeline", f"Distill-{stage.name}-Storage"]
    # Asked above; the CDK would ask again, and a script has nobody to answer.
    _cdk(stage, ["destroy", "--force", "-c", f"stage={stage.name}", *stacks])
    for bucket in buckets:
        if sure:
            say(f"kept {bucket}")
        else:
            offer_to_delete(stage.client("s3"), bucket, ask)


def stage_buckets(cloudformation: Any, stage: str) -> list[str]:
    """Return the buckets that a stage's storage stack holds, access logs last; none once it is gone.

    Raises ``ClientError`` where that cannot be told.
    """
    name = f"Distill-{stage}-Storage"
    try:
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    except ClientError as error:
        if not is_absent(error):
            raise
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


def _check(stage: Stage) -> None:
    """Raise ``Refused`` unless the stage is one of cdk.json, in its Region, and the CDK runs here."""
    region = settings_of(stage.name)["region"]
    if stage.region != region:
        raise Refused(f"stage {stage.name!r} is in {region} by cdk.json, not in {stage.region}: --region {region}")
    _cdk(stage, ["--version"])


def _cdk(stage: Stage, arguments: Sequence[str]) -> None:
    """Run the project's own CDK in the stage's Region; raises ``Refused``."""
    region = {"AWS_REGION": stage.region, "CDK_DEFAULT_REGION": stage.region}
    command = ["npx", "--no-install", "cdk", *arguments]
    try:
        subprocess.run(command, cwd=ROOT, env={**os.environ, **region}, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Refused(f"{error}. Mend that (make setup installs the CDK) and run it again: it goes on there") from None


def _unknown_buckets(stage: str) -> str:
    return f"unknown, for stack Distill-{stage}-Storage is gone; find what it left by its name in the S3 console"
