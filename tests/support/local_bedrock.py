"""The local Bedrock endpoint in the words of a test: a bucket to train from, jobs, and the codes of refusals."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from distillation.dataset.examples import training_record
from local import models
from local.bedrock import Endpoint, Faults, bedrock_endpoint
from tests.support.builders import any_run
from tests.support.fakes import MemoryS3

TEACHER, STUDENT = "local.teacher-pixels-v1:0", "local.student-pixels-v1:0"
ROLE = "arn:aws:iam::000000000000:role/bedrock"


def jpeg(colour: tuple[int, int, int]) -> bytes:
    """Return a small photo of one colour."""
    output = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(output, "JPEG")
    return output.getvalue()


def trainable_bucket(records: int = 10) -> MemoryS3:
    """Return a bucket with images and ``train.jsonl``, which asks for them by turns."""
    store = MemoryS3()
    for number in range(10):
        store.objects[f"images/900/{number}.jpg"] = jpeg((number * 25, 255 - number * 25, 90))
    lines = [
        json.dumps(training_record(any_run(), "data", str(n % 10), f"word {n % 3}, common, photo"))
        for n in range(records)
    ]
    store.objects["train.jsonl"] = "\n".join(lines).encode() + b"\n"
    return store


@contextmanager
def serving(s3: MemoryS3, cache: Path, identity: Any | None = None, **faults: Any) -> Iterator[Endpoint]:
    """Run the endpoint over a bucket, with jobs that take no longer than they must."""
    chosen = Faults(**{"job_seconds": 0, **faults})
    with bedrock_endpoint(s3=lambda: s3, work_dir=cache, models=models, identity=identity, faults=chosen) as endpoint:
        yield endpoint


def client(endpoint: Endpoint, service: str) -> Any:
    """Return an unmodified client."""
    make: Any = boto3.client
    return make(service, endpoint_url=endpoint.url)


def train(endpoint: Endpoint, name: str = "run-n10-a1", **changes: Any) -> str:
    """Create a job; return its ARN."""
    request = {
        "jobName": name,
        "customModelName": name,
        "roleArn": ROLE,
        "clientRequestToken": name,
        "baseModelIdentifier": f"{STUDENT}:300k",
        "trainingDataConfig": {"s3Uri": "s3://data/train.jsonl"},
        "outputDataConfig": {"s3Uri": "s3://data/out/"},
        "hyperParameters": {"epochCount": "1"},
    } | changes
    return client(endpoint, "bedrock").create_model_customization_job(**request)["jobArn"]


def ended(endpoint: Endpoint, job: str) -> Any:
    """Wait for a job to end; return its description."""
    for _ in range(400):
        found = client(endpoint, "bedrock").get_model_customization_job(jobIdentifier=job)
        if found["status"] not in ("InProgress", "Stopping"):
            return found
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    """Return the code of an error."""
    return error.value.response["Error"]["Code"]  # type: ignore[typeddict-item]
