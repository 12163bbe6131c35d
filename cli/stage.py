"""A deployed stage, found by its name: buckets, state machine and clients. Nothing is typed that a stack knows.

``AWS_ENDPOINT_URL`` leads to the embedded AWS, as for any program that uses boto3.
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

from cli.console import Refused, Unreachable
from distillation.bedrock_errors import code_and_message
from distillation.storage import Bucket

ROOT = Path(__file__).parents[1]
_MANY_AT_ONCE = Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 5})


@dataclass(frozen=True)
class Stage:
    """One stage's stacks, asked when something of them is needed."""

    name: str
    region: str

    @cached_property
    def session(self) -> boto3.session.Session:
        """Credentials and Region of all clients."""
        return boto3.session.Session(region_name=self.region)

    def client(self, service: str) -> Any:
        """Return a client of an AWS service."""
        return self.session.client(service, config=_MANY_AT_ONCE)  # pyright: ignore[reportCallIssue, reportArgumentType] - any service

    @cached_property
    def photos(self) -> Bucket:
        """The bucket of originals."""
        return Bucket(self.client("s3"), self._output("Storage", "PhotosBucket"))

    @cached_property
    def data(self) -> Bucket:
        """The bucket of all that the pipeline makes."""
        return Bucket(self.client("s3"), self._output("Storage", "DataBucket"))

    @cached_property
    def state_machine(self) -> str:
        """ARN of the state machine."""
        return self._output("Pipeline", "StateMachineArn")

    def _output(self, stack: str, key: str) -> str:
        outputs = stack_outputs(self.client("cloudformation"), f"Distill-{self.name}-{stack}")
        if key not in outputs:
            raise Unreachable(f"stack Distill-{self.name}-{stack} has no output {key}; deploy it again")
        return outputs[key]


def settings_of(stage: str) -> dict[str, Any]:
    """Return what cdk.json says of a stage; raises ``Refused`` for one that is not there."""
    stages = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]["stages"]
    if stage not in stages:
        raise Refused(f"stage {stage!r} is not in cdk.json; known: {', '.join(stages)}")
    return stages[stage]


def unknown_run(run: str, data: Bucket) -> Refused:
    """Say that a stage has no such run, and where the names are."""
    return Refused(f"no run {run!r} in s3://{data.name}/runs/; distill runs lists them")


def fetch(data: Bucket, keys: Iterable[str], out: Path) -> list[Path]:
    """Write objects into a folder, all or none; return their paths. Raises ``ObjectMissing``."""
    bodies = {out / Path(key).name: data.read(key) for key in keys}
    out.mkdir(parents=True, exist_ok=True)
    for path, body in bodies.items():
        path.write_bytes(body)
    return list(bodies)


def stack_outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    """Return the outputs of a stack; raises ``Unreachable`` when it is not there, and ``ClientError``."""
    try:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if not is_absent(error):
            raise
        raise Unreachable(
            f"stack {stack}: {code_and_message(error)[1]}; deploy the stage, or name another with --stage"
        ) from None
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def is_absent(error: ClientError) -> bool:
    """Tell whether CloudFormation refused because there is no such stack."""
    code, message = code_and_message(error)
    return code == "ValidationError" and "does not exist" in message
