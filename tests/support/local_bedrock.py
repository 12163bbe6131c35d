"""The local Bedrock endpoint for tests: a bucket with a dataset, jobs, and error codes."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from distillation.dataset.writer import training_record
from local.bedrock import Endpoint, Faults, bedrock_endpoint
from local.bedrock.job_worker import PHASES
from tests.support.builders import any_run
from tests.support.fakes import MemoryS3

TEACHER, STUDENT = "local.teacher-pixels-v1:0", "local.student-pixels-v1:0"
ROLE = "arn:aws:iam::000000000000:role/bedrock"
KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def jpeg(colour: tuple[int, int, int]) -> bytes:
    """Return a JPEG of 64 x 48 pixels in one colour."""
    output = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(output, "JPEG")
    return output.getvalue()


def trainable_bucket() -> MemoryS3:
    """Return a bucket with ten images, and ``train.jsonl`` with one record about each."""
    store = MemoryS3()
    for number in range(10):
        store.objects[f"images/900/{number}.jpg"] = jpeg((number * 25, 255 - number * 25, 90))
    lines = [json.dumps(training_record(any_run(), "data", str(n), f"word {n % 3}, common, photo")) for n in range(10)]
    store.objects["train.jsonl"] = "\n".join(lines).encode() + b"\n"
    return store


@contextmanager
def running_endpoint(s3: MemoryS3, cache: Path, identity: Any | None = None, **faults: Any) -> Iterator[Endpoint]:
    """Run the endpoint with a bucket; keywords are fields of ``Faults``, and jobs have no minimum duration."""
    with bedrock_endpoint(
        s3=lambda: s3, cache=cache, identity=identity, faults=Faults(**{"job_seconds": 0, **faults})
    ) as endpoint:
        yield endpoint


def client(endpoint: Endpoint, service: str) -> Any:
    """Return an unmodified boto3 client of the endpoint, the same for the same service."""
    return _client(endpoint.url, service)


@lru_cache(maxsize=4)
def _client(url: str, service: str) -> Any:
    # boto3 takes about 40 ms to build a client, longer than the endpoint to answer.
    make: Any = boto3.client
    return make(service, endpoint_url=url)


def create_job(endpoint: Endpoint, name: str = "run-n10-a1", **changes: Any) -> str:
    """Create a job, with changed request fields; return its ARN."""
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


def wait_for_job(endpoint: Endpoint, job: str) -> Any:
    """Wait until a job has ended; return its description."""
    bedrock = client(endpoint, "bedrock")
    for _ in range(400):
        description = bedrock.get_model_customization_job(jobIdentifier=job)
        if description["status"] not in ("InProgress", "Stopping"):
            return description
        time.sleep(0.02)
    raise AssertionError("the job has not ended after 8 s")


def create_deployment(endpoint: Endpoint, model: str, name: str = "d") -> str:
    """Deploy a model; return the deployment's ARN."""
    bedrock = client(endpoint, "bedrock")
    return bedrock.create_custom_model_deployment(modelDeploymentName=name, modelArn=model)["customModelDeploymentArn"]


def converse(
    endpoint: Endpoint,
    model: str = TEACHER,
    temperature: float | None = None,
    tier: str | None = None,
    text: str = "keywords",
    **changes: Any,
) -> dict[str, Any]:
    """Ask a model a question about image 1 of ``trainable_bucket``, with changed fields of the image block."""
    service_tier: Any = {"serviceTier": {"type": tier}} if tier else {}
    settings: Any = {} if temperature is None else {"temperature": temperature}
    image = {"format": "jpeg", "source": {"s3Location": {"uri": "s3://data/images/900/1.jpg"}}} | changes
    messages = [{"role": "user", "content": [{"text": text}, {"image": image}]}]
    return client(endpoint, "bedrock-runtime").converse(
        modelId=model, messages=messages, inferenceConfig=settings, **service_tier
    )


def phase_statuses(job: Any) -> list[str]:
    """Return the statuses of a job's three phases in their order."""
    return [job["statusDetails"][phase]["status"] for phase in PHASES]


class Permissions:
    """Identity of a caller with all permissions except the denied actions."""

    def __init__(self, *denied: str) -> None:
        self.denied = denied

    def principal(self, authorization_header: str) -> str:
        """Return the ARN of the caller's role."""
        return ROLE

    def allowed(
        self, principal: str, action: str, resource: str, via: str | None = None, profile: str | None = None
    ) -> bool:
        """Return whether an action is not denied."""
        return action not in self.denied

    def check_job_role(self, role: str) -> None:
        """Accept any role for a job."""


def error_code(error: pytest.ExceptionInfo[ClientError]) -> str:
    """Return the error code of a response."""
    return error.value.response["Error"]["Code"]  # type: ignore[typeddict-item]
