"""A deployed stage: its buckets, state machine and AWS clients, found through the outputs of its stacks.

Like every program that uses boto3, the commands use the AWS emulator if ``AWS_ENDPOINT_URL`` is set to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.console import CommandError, NotReachable
from distillation.aws_errors import code_and_message
from distillation.errors import excerpt
from distillation.storage import Bucket


def _root() -> Path:
    """Return the folder of cdk.json: the clone whose code this is.

    An installed command takes the clone at or above the working folder, else the copies that were installed with it.
    """
    own, here = Path(__file__).parents[1], Path.cwd()
    if _is_clone(own):
        return own
    return next(filter(_is_clone, (here, *here.parents)), Path(__file__).parent)


def _is_clone(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("app.py", "cdk.json", "cli/stage.py"))


ROOT = _root()
_RUN_NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")
_CLIENT_CONFIG = Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 5})


@dataclass(frozen=True)
class Stage:
    """A stage in one Region. Its stacks are read on first use."""

    name: str
    region: str

    def __post_init__(self) -> None:
        """Raise ``CommandError`` if cdk.json does not define the stage."""
        stage_settings(self.name)

    @cached_property
    def session(self) -> boto3.session.Session:
        """Session with the credentials and Region of all clients."""
        return boto3.session.Session(region_name=self.region)

    def client(self, service: str) -> Any:
        """Return a client for an AWS service."""
        return self.session.client(service, config=_CLIENT_CONFIG)  # pyright: ignore[reportCallIssue, reportArgumentType] - any service

    @cached_property
    def photos(self) -> Bucket:
        """The Photos bucket."""
        return Bucket(self.client("s3"), self._stack_output("Storage", "PhotosBucket"))

    @cached_property
    def data(self) -> Bucket:
        """The Data bucket."""
        return Bucket(self.client("s3"), self._stack_output("Storage", "DataBucket"))

    @cached_property
    def state_machine(self) -> str:
        """ARN of the state machine."""
        return self._stack_output("Pipeline", "StateMachineArn")

    def _stack_output(self, stack: str, key: str) -> str:
        outputs = stack_outputs(self.client("cloudformation"), f"Distill-{self.name}-{stack}")
        if key not in outputs:
            raise NotReachable(
                f"stack Distill-{self.name}-{stack} has no output {key}, so its version is too old. Deploy it again."
            )
        return outputs[key]


def stage_settings(stage: str) -> dict[str, Any]:
    """Return the settings of a stage in cdk.json. Raises ``CommandError`` if the stage is not defined there."""
    stages = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]["stages"]
    if stage not in stages:
        raise CommandError(
            f"stage {excerpt(stage)!r} is not defined in cdk.json (defined: {', '.join(stages)}). "
            f"Add it under context.stages or pass --stage {next(iter(stages))}."
        )
    return stages[stage]


def check_run_name(run: str) -> str:
    """Return the name of a run. Raises ``CommandError`` if no run can have it."""
    if not _RUN_NAME.fullmatch(run):
        raise CommandError(
            f"{excerpt(run)!r} is not the name of a run, which has at most 63 of the characters a-z, 0-9 and -. "
            "List the runs with: distill runs"
        )
    return run


def run_not_found(run: str, data: Bucket) -> CommandError:
    """Return the error for a run that does not exist in a stage."""
    return CommandError(f"no run {run!r} in s3://{data.name}/runs/. List the runs with: distill runs")


def running_executions(stage: Stage) -> set[str]:
    """Return the ARNs of the running executions of a stage. Raises ``NotReachable`` or ``ClientError``."""
    pages = (
        stage.client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(stateMachineArn=stage.state_machine, statusFilter="RUNNING")
    )
    return {execution["executionArn"] for page in pages for execution in page["executions"]}


def check_out_folder(out: Path, option: str = "--out") -> Path:
    """Return the folder for files that ``option`` names.

    Raises ``CommandError`` if it cannot be a folder, because a file is in its place.
    """
    for path in (out, *out.parents):
        if path.exists():
            if not path.is_dir():
                raise CommandError(f"{option} {out}: {path} is a file. Name a folder.")
            break
    return out


def download(data: Bucket, keys: Iterable[str], out: Path) -> list[Path]:
    """Download objects into a folder and return their paths.

    Raises ``ObjectMissing`` before any file is written if an object does not exist.
    """
    bodies = {out / Path(key).name: data.read(key) for key in keys}
    out.mkdir(parents=True, exist_ok=True)
    for path, body in bodies.items():
        path.write_bytes(body)
    return list(bodies)


def stack_outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    """Return the outputs of a stack. Raises ``NotReachable`` if it does not exist, or ``ClientError``."""
    try:
        description = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if not is_missing_stack(error):
            raise
        raise NotReachable(
            f"stack {stack} does not exist. Deploy the stage (npx cdk deploy --all) or pass another one with --stage."
        ) from None
    return outputs_of(description)


def outputs_of(stack: dict[str, Any]) -> dict[str, str]:
    """Return the outputs in the description of a stack, keyed by name."""
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def is_missing_stack(error: ClientError) -> bool:
    """Return whether CloudFormation raised the error because the stack does not exist."""
    code, message = code_and_message(error)
    return code == "ValidationError" and "does not exist" in message
