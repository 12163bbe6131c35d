"""``distill destroy``: delete a stage from AWS.

Nothing is deleted before the CDK is known to run and the user has typed the name of the stage. The order is:

1. running executions are stopped, because CloudFormation waits until they end before it deletes the state machine;
2. jobs, deployments and tuned models, which no stack contains; they are found by their tags. Unknown deployments and
   models, which belong to no run in the stage's Data bucket, are deleted only if the user confirms it separately;
3. the stacks;
4. the buckets, which the stacks retain; each is deleted only if the user types its name.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cli.console import CommandError, NotReachable, print_line
from cli.stage import ROOT, Stage, is_missing_stack, running_executions, stage_settings
from distillation.aws_errors import code_and_message
from distillation.errors import InvalidRequest
from distillation.serving.resources import BedrockResource, delete, deployments_and_models, running_jobs, stop
from distillation.serving.sweep import unknown
from distillation.serving.tags import STAGE_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_MAXIMUM_POLLS = 60
"""Times that the running executions are listed before the stacks are deleted anyway."""
_POLL_SECONDS = 1


def prompt(question: str) -> str:
    """Return the line that the user types, or an empty string if there is no input."""
    try:
        return input(question)
    except EOFError:
        return ""


def destroy_stage(stage: Stage, *, assume_yes: bool, ask: Callable[[str], str] = prompt) -> None:
    """Delete a stage, including resources that its runs retain. Raises ``CommandError`` if a part cannot be deleted.

    Running the command again deletes the rest. The buckets are found through the storage stack, so their names are
    printed before the stack is deleted. With ``assume_yes`` there are no questions, and the buckets and unknown
    resources are kept.
    """
    _check_stage(stage)
    buckets = stage_buckets(stage.client("cloudformation"), stage.name)
    print_line(
        f"All jobs, deployments, tuned models and stacks of stage {stage.name} in {stage.region} will be deleted. "
        "Running executions are stopped first."
    )
    print_line(f"Buckets: {', '.join(buckets) or _unknown_buckets(stage.name)}")
    if not assume_yes and ask(f"Type {stage.name} to continue: ").strip() != stage.name:
        raise CommandError("nothing was deleted, because the name of the stage was not typed. In a script, pass --yes.")
    print_line(f"Stopped executions: {stop_executions(stage)}.")
    _delete_resources(stage, assume_yes=assume_yes, ask=ask)
    stacks = [f"Distill-{stage.name}-Pipeline", f"Distill-{stage.name}-Storage"]
    # --force, because the user has confirmed above and a script cannot answer the CDK.
    _run_cdk(stage, ["destroy", "--force", "-c", f"stage={stage.name}", *stacks])
    for bucket in buckets:
        if assume_yes:
            print_line(f"Kept bucket {bucket}.")
        else:
            confirm_and_delete_bucket(stage.client("s3"), bucket, ask)


def stop_executions(stage: Stage) -> int:
    """Stop the running executions and wait up to a minute until they have ended. Return their number."""
    client, stopped = stage.client("stepfunctions"), set[str]()
    try:
        for _ in range(_MAXIMUM_POLLS):
            running = running_executions(stage)
            if not running:
                break
            for execution in sorted(running - stopped):
                client.stop_execution(executionArn=execution, cause=f"Stage {stage.name} is being destroyed.")
            stopped |= running
            time.sleep(_POLL_SECONDS)
    except (NotReachable, client.exceptions.StateMachineDoesNotExist):
        pass  # The state machine is already deleted.
    return len(stopped)


def stage_buckets(cloudformation: Any, stage: str) -> list[str]:
    """Return the buckets of a stage's storage stack, access logs last, or an empty list if the stack does not exist.

    Raises ``ClientError`` if CloudFormation refuses the request for another reason.
    """
    name = f"Distill-{stage}-Storage"
    try:
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    except ClientError as error:
        if not is_missing_stack(error):
            raise
        return []
    buckets = [resource for resource in resources if resource["ResourceType"] == "AWS::S3::Bucket"]
    buckets.sort(key=lambda bucket: bucket["LogicalResourceId"].startswith("AccessLogs"))
    return [bucket["PhysicalResourceId"] for bucket in buckets]


def confirm_and_delete_bucket(s3: S3Client, bucket: str, ask: Callable[[str], str]) -> bool:
    """Delete a bucket and its content if the user types its name. Return whether it was deleted."""
    answer = ask(f"Bucket {bucket} is kept unless you type its name to delete it with its content: ")
    if answer.strip() != bucket:
        print_line(f"Kept bucket {bucket}.")
        return False
    delete_all_versions(s3, bucket)
    s3.delete_bucket(Bucket=bucket)
    print_line(f"Deleted bucket {bucket}.")
    return True


def delete_all_versions(s3: S3Client, bucket: str) -> None:
    """Delete all object versions in a bucket."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": version.get("Key", ""), "VersionId": version.get("VersionId", "")} for version in versions
        ]
        if objects:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


def _delete_resources(stage: Stage, *, assume_yes: bool, ask: Callable[[str], str]) -> None:
    """Stop the jobs of a stage and delete its deployments and models, unknown ones only if the user confirms it."""
    bedrock, tag = stage.client("bedrock"), (STAGE_TAG, stage.name)
    stopped = stop(running_jobs(tag, "", bedrock), bedrock)
    resources = deployments_and_models(tag, "", bedrock)
    kept = _unknown_resources(stage, resources)
    if kept and not assume_yes and _confirm_unknown(stage.name, kept, ask):
        kept = []
    deleted = delete([resource for resource in resources if resource not in kept], bedrock)
    print_line(f"Stopped: {', '.join(stopped) or 'no jobs'}. Deleted: {', '.join(deleted) or 'no models'}.")
    if kept:
        print_line(f"Kept, because they belong to no run in the stage's Data bucket: {', '.join(map(str, kept))}.")


def _unknown_resources(stage: Stage, resources: Sequence[BedrockResource]) -> list[BedrockResource]:
    """Return the resources that belong to no run in the stage's Data bucket; all if the bucket does not exist."""
    try:
        return unknown(resources, stage.data)
    except NotReachable:
        return list(resources)
    except InvalidRequest as error:
        if not isinstance(error.__cause__, ClientError) or code_and_message(error.__cause__)[0] != "NoSuchBucket":
            raise
        return list(resources)


def _confirm_unknown(stage: str, resources: Sequence[BedrockResource], ask: Callable[[str], str]) -> bool:
    """List unknown resources by name and return whether the user wants to delete them."""
    print_line(
        f"These deployments and models of stage {stage} belong to no run in its Data bucket. An earlier deployment of "
        "the stage may have created them, and callers may use them:"
    )
    for resource in resources:
        print_line(f"  {resource} (run {resource.run or 'not set'}, Data bucket {resource.data_bucket or 'not set'})")
    return ask("They are kept unless you type delete: ").strip() == "delete"


def _check_stage(stage: Stage) -> None:
    """Raise ``CommandError`` unless cdk.json defines the stage in this Region and the CDK runs on this machine."""
    region = stage_settings(stage.name)["region"]
    if stage.region != region:
        raise CommandError(
            f"cdk.json defines stage {stage.name!r} in {region}, not in {stage.region}. Pass --region {region}."
        )
    _run_cdk(stage, ["--version"])


def _run_cdk(stage: Stage, arguments: Sequence[str]) -> None:
    """Run the CDK that the project installs, in the Region of the stage. Raises ``CommandError`` if it fails."""
    region = {"AWS_REGION": stage.region, "CDK_DEFAULT_REGION": stage.region}
    # Not npx: if the CDK is not installed, npx looks for it in the registry and waits minutes for the network.
    command = [str(ROOT / "node_modules" / ".bin" / "cdk"), *arguments]
    try:
        subprocess.run(command, cwd=ROOT, env={**os.environ, **region}, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CommandError(
            f"the CDK failed in {ROOT}: {error}. Run the command in a clone in which npm ci has installed the CDK, "
            "and fix any other cause."
        ) from None


def _unknown_buckets(stage: str) -> str:
    return f"unknown, because stack Distill-{stage}-Storage does not exist. Find its buckets by name in the S3 console."
