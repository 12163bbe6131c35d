"""The whole pipeline on this machine, for the demo and the end-to-end tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cli.upload import upload_files
from distillation.storage import Bucket
from local import BUILD, cdk
from local.aws.emulator import AwsEmulator, aws_emulator
from local.aws.identity import CallerIdentity
from local.bedrock import Endpoint, Faults, Vlm, bedrock_endpoint


@dataclass(frozen=True)
class LocalPipeline:
    """The deployed pipeline."""

    aws: AwsEmulator
    bedrock: Endpoint
    outputs: dict[str, str]
    """Outputs of all stacks, keyed by output name."""

    @property
    def photos(self) -> Bucket:
        """Photos bucket."""
        return Bucket(self.aws.client("s3"), self.outputs["PhotosBucket"])

    @property
    def data(self) -> Bucket:
        """Data bucket."""
        return Bucket(self.aws.client("s3"), self.outputs["DataBucket"])

    def upload(self, photos: dict[str, Path], collection: str) -> None:
        """Upload files, keyed by name, into a collection. Raises ``OSError`` if a file cannot be uploaded."""
        for result in upload_files({collection + name: path for name, path in photos.items()}, self.photos):
            if result.problem:
                raise OSError(f"{result.key} was not uploaded: {result.problem}")

    def start_run(self, collection: str, request: dict[str, Any]) -> None:
        """Write ``distill.json`` into a collection; its event starts the state machine."""
        self.photos.write_json(f"{collection}distill.json", request)

    def executions(self) -> list[str]:
        """Return the ARNs of the state machine's executions, newest first."""
        machine = self.outputs["StateMachineArn"]
        executions = self.aws.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
        newest_first = sorted(executions, key=lambda execution: execution["startDate"], reverse=True)
        return [execution["executionArn"] for execution in newest_first]

    def describe(self, execution: str) -> dict[str, Any]:
        """Return the DescribeExecution response of an execution."""
        return self.aws.client("stepfunctions").describe_execution(executionArn=execution)


class LocalAws(NamedTuple):
    """An empty AWS account on this machine."""

    aws: AwsEmulator
    bedrock: Endpoint


@contextmanager
def local_aws(
    *, faults: Faults | None = None, vlm: Vlm | None = None, wait_scale: float = 0.01, port: int = 0
) -> Iterator[LocalAws]:
    """Start the emulator and the Bedrock endpoint, and stop both on exit.

    The emulator listens on ``port`` and the endpoint on the next one; 0 is any two free ports. ``wait_scale`` is the
    factor by which Wait states and pauses before a retry are shortened.
    """
    # The emulator needs the URL of the endpoint, which needs an S3 client of the emulator.
    emulators: list[AwsEmulator] = []
    with (
        tempfile.TemporaryDirectory(prefix="distillation-", ignore_cleanup_errors=True) as folder,
        bedrock_endpoint(
            s3=lambda: emulators[0].client("s3"),
            cache=BUILD / "models",
            identity=CallerIdentity(),
            faults=faults,
            vlm=vlm,
            port=port and port + 1,
        ) as bedrock,
        aws_emulator(Path(folder), bedrock.url, wait_scale=wait_scale, port=port) as aws,
    ):
        emulators.append(aws)
        yield LocalAws(aws, bedrock)


@contextmanager
def local_pipeline(
    assembly: Path | None = None,
    *,
    faults: Faults | None = None,
    vlm: Vlm | None = None,
    wait_scale: float = 0.01,
) -> Iterator[LocalPipeline]:
    """Start the emulator and the endpoint, deploy the stacks with the CDK, and stop both on exit.

    ``assembly`` is the assembly to deploy instead of that of the stage ``local``.
    """
    with local_aws(faults=faults, vlm=vlm, wait_scale=wait_scale) as (aws, bedrock):
        assembly = assembly or cdk.synthesised_stage()
        cdk.bootstrap(assembly)
        yield LocalPipeline(aws, bedrock, cdk.deploy(assembly, aws))
