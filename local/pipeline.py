"""The whole pipeline, running on this machine: what the demo and the end-to-end tests work with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.upload import send
from distillation.storage import Bucket
from local import models
from local.aws.deploy import deploy
from local.aws.emulator import AwsEmulator, aws_emulator
from local.aws.identity import CallerIdentity
from local.bedrock import Endpoint, Faults, bedrock_endpoint


@dataclass(frozen=True)
class LocalPipeline:
    """The deployed pipeline. ``outputs`` are those of both stacks."""

    aws: AwsEmulator
    bedrock: Endpoint
    outputs: dict[str, str]

    @property
    def photos_bucket(self) -> str:
        """Name of the bucket of originals."""
        return self.outputs["PhotosBucket"]

    @property
    def data_bucket(self) -> str:
        """Name of the bucket of all that the pipeline makes."""
        return self.outputs["DataBucket"]

    @property
    def data(self) -> Bucket:
        """The bucket of all that the pipeline makes."""
        return Bucket(self.aws.client("s3"), self.data_bucket)

    def upload(self, photos: dict[str, Path], collection: str) -> None:
        """Upload files under their names into a collection."""
        bucket = Bucket(self.aws.client("s3"), self.photos_bucket)
        for sent in send({collection + name: path for name, path in photos.items()}, bucket):
            if sent.problem:
                raise OSError(f"{sent.key}: {sent.problem}")

    def request(self, collection: str, request: dict[str, Any]) -> None:
        """Put ``distill.json`` into a collection, whose event starts the state machine."""
        self.aws.client("s3").put_object(
            Bucket=self.photos_bucket,
            Key=f"{collection}distill.json",
            Body=json.dumps(request).encode(),
        )

    def executions(self) -> list[str]:
        """Return the ARNs of the state machine's executions, the newest first."""
        found = self.aws.client("stepfunctions").list_executions(stateMachineArn=self.outputs["StateMachineArn"])[
            "executions"
        ]
        by_start = sorted(found, key=lambda execution: execution["startDate"], reverse=True)
        return [execution["executionArn"] for execution in by_start]

    def keys(self, prefix: str) -> list[str]:
        """Return the keys in the Data bucket under a prefix."""
        return list(self.data.keys(prefix))

    def read(self, key: str) -> bytes:
        """Return an object of the Data bucket."""
        return self.data.read(key)


@contextmanager
def local_pipeline(
    assembly: Path, work: Path, cache: Path, *, faults: Faults | None = None, wait_scale: float = 0.01
) -> Iterator[LocalPipeline]:
    """Start all, deploy the synthesised stacks, and stop all again whatever happens.

    ``cache`` keeps what is made once from the models' packages. ``wait_scale`` shortens Wait states and pauses.
    """
    started: list[AwsEmulator] = []
    with (
        bedrock_endpoint(
            s3=lambda: started[0].client("s3"),
            work_dir=cache,
            models=models,
            identity=CallerIdentity(),
            faults=faults,
        ) as bedrock,
        aws_emulator(work, bedrock.url, wait_scale=wait_scale) as cloud,
    ):
        started.append(cloud)
        outputs = deploy(cloud, assembly)
        merged = {name: value for stack in outputs.values() for name, value in stack.items()}
        yield LocalPipeline(cloud, bedrock, merged)
