"""What a function is told by its environment, and the clients it works with; made once, lazily."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from lambdas.shared import layout
from lambdas.shared.errors import BadRequest
from lambdas.shared.objects import Objects
from lambdas.shared.records import Run

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

# Retries belong to the state machine and to the pace of Label; boto3's own only bridge a lost packet.
# A slow answer is awaited for longer than Bedrock itself does.
_PATIENT = Config(retries={"max_attempts": 1, "mode": "standard"}, read_timeout=120)


def setting(name: str) -> str:
    """Return an environment variable that the template must set; raises ``BadRequest``."""
    try:
        return os.environ[name]
    except KeyError:
        raise BadRequest(f"the function's environment lacks {name}; deploy the stack again") from None


@cache
def photos() -> Objects:
    """The bucket of the user's originals."""
    return Objects(boto3.client("s3"), setting("PHOTOS_BUCKET"))


@cache
def data() -> Objects:
    """The bucket of all that the pipeline makes."""
    return Objects(boto3.client("s3"), setting("DATA_BUCKET"))


@cache
def bedrock() -> BedrockClient:
    """Client for jobs, models and deployments."""
    return boto3.client("bedrock", config=_PATIENT)


@cache
def bedrock_runtime() -> BedrockRuntimeClient:
    """Client that asks models."""
    return boto3.client("bedrock-runtime", config=_PATIENT)


def claimed_run(run: str) -> Run:
    """Return a run's resolved request; raises ``ObjectMissing`` for a run that was never claimed."""
    return Run.model_validate_json(data().read(layout.request(run)))
