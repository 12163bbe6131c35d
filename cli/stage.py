"""A deployed stage: its buckets, state machine and AWS clients, found through the outputs of its stacks.

Like every program that uses boto3, the commands use the AWS emulator if ``AWS_ENDPOINT_URL`` is set to it.
"""

from __future__ import annotations

import json
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
from distillation.storage import Bucket

ROOT = Path(__file__).parents[1]
_CLIENT_CONFIG = Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 5})


@dataclass(frozen=True)
class Stage:
    """A stage in one Region. Its stacks are read on first use."""

    name: str
    region: str

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
            f"stage {stage!r} is not defined in cdk.json (defined: {', '.join(stages)}). "
            f"Add it under context.stages or pass --stage {next(iter(stages))}."
        )
    return stages[stage]


def run_not_found(run: str, data: Bucket) -> CommandError:
    """Return the error for a run that does not exist in a stage."""
    return CommandError(f"no run {run!r} in s3://{data.name}/runs/. List the runs with: distill runs")


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
            f"stack {stack}: {code_and_message(error)[1]}. Deploy the stage or pass another one with --stage."
        ) from None
    return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}


def is_missing_stack(error: ClientError) -> bool:
    """Return whether CloudFormation raised the error because the stack does not exist."""
    code, message = code_and_message(error)
    return code == "ValidationError" and "does not exist" in message
