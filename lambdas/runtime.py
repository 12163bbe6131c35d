"""What a function is told by its environment, and the clients it works with; made once, lazily."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from distillation import keys
from distillation.errors import InvalidRequest
from distillation.inference.rate_limit import MOST_OVERLAPPING_CALLS, BatchLimits
from distillation.records import Run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_service_quotas import ServiceQuotasClient

_ANSWER_SECONDS = 120
"""A slow answer is awaited for longer than Bedrock itself does."""
_CLOSING_SECONDS = 30
"""Enough to write down what a batch has."""
# Retries belong to the state machine; boto3's own only bridge a lost packet. Twice this stays under the 60 s of the
# shortest function, which so has time to say what happened.
_LOOKING = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1, "mode": "standard"})
# Here they belong to the pace, which has to know of each call.
_ONCE = Config(
    max_pool_connections=MOST_OVERLAPPING_CALLS, retries={"total_max_attempts": 1}, read_timeout=_ANSWER_SECONDS
)
_BRIEF = Config(connect_timeout=3, read_timeout=5, retries={"max_attempts": 1, "mode": "standard"})
_OVERLAPPING = Config(max_pool_connections=MOST_OVERLAPPING_CALLS)


def setting(name: str) -> str:
    """Return an environment variable that the template must set; raises ``InvalidRequest``."""
    try:
        return os.environ[name]
    except KeyError:
        raise InvalidRequest(f"the function's environment lacks {name}; deploy the stack again") from None


@cache
def photos() -> Bucket:
    """The bucket of the user's originals."""
    return Bucket(boto3.client("s3"), setting("PHOTOS_BUCKET"))


@cache
def data() -> Bucket:
    """The bucket of all that the pipeline makes."""
    return Bucket(boto3.client("s3", config=_OVERLAPPING), setting("DATA_BUCKET"))


@cache
def bedrock() -> BedrockClient:
    """Client for jobs, models and deployments."""
    return boto3.client("bedrock", config=_LOOKING)


@cache
def bedrock_runtime() -> BedrockRuntimeClient:
    """Client that asks models."""
    return boto3.client("bedrock-runtime", config=_ONCE)


@cache
def service_quotas() -> ServiceQuotasClient:
    """Client for the account's quotas, which are nice to know and not waited for."""
    return boto3.client("service-quotas", config=_BRIEF)


def read_run(run: str) -> Run:
    """Return a run's resolved request; raises ``ObjectMissing`` for a run that was never claimed."""
    return Run.model_validate_json(data().read(keys.request_key(run)))


def shift(at_once: int, context: LambdaContext) -> BatchLimits:
    """The circumstances of one batch, of so many at once; it ends in time for its last answer."""
    left = context.get_remaining_time_in_millis() / 1000
    return BatchLimits(at_once, deadline=time.time() + left - _ANSWER_SECONDS - _CLOSING_SECONDS)
