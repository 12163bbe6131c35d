"""Shared by every step: settings from the environment, AWS clients, and typed events and results.

Clients are created on first use and cached for as long as Lambda keeps the execution environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from pydantic import BaseModel, ConfigDict, ValidationError

from distillation import keys
from distillation.aws_errors import service_errors
from distillation.errors import LABELS_ARE_REUSED, DistillationError, InvalidRequest, ObjectMissing
from distillation.events import Event
from distillation.inference.rate_limit import MAX_CONCURRENT_CALLS, BatchLimits
from distillation.models import catalog
from distillation.records import Record, Run, parse
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_stepfunctions import SFNClient

    from distillation.runs.notification import Message

_ANSWER_SECONDS = 120
"""Read timeout of an answer in seconds; longer than Bedrock's own timeout."""
_CLOSING_SECONDS = 30
"""Seconds that a batch needs to write its results."""
_MESSAGE_CHARACTERS = 4_000
"""Largest number of characters of an error message."""
# The state machine retries; boto3's own retry only covers a lost packet. Two attempts take less than the 60 seconds of
# the shortest function, which then has time to report the error.
_CONTROL_PLANE = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1, "mode": "standard"})
# The rate limiter retries, because it must count every call.
_NO_RETRIES = Config(
    max_pool_connections=MAX_CONCURRENT_CALLS, retries={"total_max_attempts": 1}, read_timeout=_ANSWER_SECONDS
)
_SHORT_TIMEOUT = Config(connect_timeout=3, read_timeout=5, retries={"max_attempts": 1, "mode": "standard"})
# All of boto3's attempts at a service that hangs take less than the 60 seconds of the shortest function.
_SHORT_CALLS = Config(connect_timeout=3, read_timeout=8, max_pool_connections=MAX_CONCURRENT_CALLS)

# Only the local Bedrock endpoint sets this variable.
catalog.set_served_names(os.environ.get(catalog.SERVED_NAMES, "{}"))

EventT = TypeVar("EventT", bound=Event)
SettingsT = TypeVar("SettingsT", bound="Settings")


class Settings(BaseModel):
    """Environment variables of a step, set by the template; a step with more of them has a subclass."""

    model_config = ConfigDict(alias_generator=str.upper, extra="ignore", frozen=True)


class _Topic(Settings):
    topic_arn: str


class _Buckets(Settings):
    data_bucket: str
    photos_bucket: str


def settings(kind: type[SettingsT]) -> SettingsT:
    """Return the environment variables of a step. Raises ``InvalidRequest`` if one is missing or malformed."""
    try:
        return kind.model_validate(dict(os.environ))
    except ValidationError as error:
        names = ", ".join(str(detail["loc"][0]) for detail in error.errors())
        raise InvalidRequest(
            f"the environment of this function has no usable {names}. Deploy the stack again."
        ) from None


def typed(
    event_type: type[EventT],
) -> Callable[[Callable[[EventT, LambdaContext], Record]], Callable[[dict[str, Any], LambdaContext], dict[str, Any]]]:
    """Decorate a handler so that it gets a parsed event and its result is returned as JSON values.

    Raises ``InvalidRequest`` naming the fields of an event that do not match ``event_type``. The message of a missing
    object gets a remedy. A long message of any other error is cut, because the state of the
    execution has to keep it.
    """

    def decorate(
        handle: Callable[[EventT, LambdaContext], Record],
    ) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
        @wraps(handle)
        def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            try:
                return handle(parse(event_type, event, "event"), context).model_dump(mode="json")
            except ObjectMissing as error:
                raise ObjectMissing(f"{error}. Start the run again. {LABELS_ARE_REUSED}") from None
            except Exception as error:
                if len(str(error)) <= _MESSAGE_CHARACTERS:
                    raise
                is_ours = isinstance(error, DistillationError)
                text = str(error) if is_ours else f"{type(error).__name__}: {error}"
                raise (type(error) if is_ours else DistillationError)(text[:_MESSAGE_CHARACTERS]) from error

        return handler

    return decorate


@cache
def photos() -> Bucket:
    """Return the Photos bucket."""
    return Bucket(boto3.client("s3", config=_SHORT_CALLS), settings(_Buckets).photos_bucket)


@cache
def data() -> Bucket:
    """Return the Data bucket."""
    return Bucket(boto3.client("s3", config=_SHORT_CALLS), settings(_Buckets).data_bucket)


@cache
def step_functions() -> SFNClient:
    """Return the client for executions and their batches."""
    return boto3.client("stepfunctions", config=_SHORT_CALLS)


@cache
def bedrock() -> BedrockClient:
    """Return the client for jobs, models and deployments."""
    return boto3.client("bedrock", config=_CONTROL_PLANE)


@cache
def bedrock_runtime() -> BedrockRuntimeClient:
    """Return the client for inference."""
    return boto3.client("bedrock-runtime", config=_NO_RETRIES)


@cache
def service_quotas() -> ServiceQuotasClient:
    """Return the client for the account's quotas; its timeouts are short because a run can do without them."""
    return boto3.client("service-quotas", config=_SHORT_TIMEOUT)


@cache
def lambda_client() -> LambdaClient:
    """Return the client for the account's Lambda settings; a run can do without them."""
    return boto3.client("lambda", config=_SHORT_TIMEOUT)


def read_run(run: str) -> Run:
    """Return a run's resolved request. Raises ``ObjectMissing`` if the run was never claimed."""
    return data().read_document(keys.request_key(run), Run)


def publish(message: Message) -> None:
    """Publish a notification to the stage's topic. Raises ``ServiceUnavailable`` or ``AccessDenied``."""
    topic_arn = settings(_Topic).topic_arn
    with service_errors(topic_arn):
        boto3.client("sns", config=_SHORT_CALLS).publish(
            TopicArn=topic_arn, Subject=message.subject, Message=message.text
        )


def batch_limits(concurrent_batches: int, context: LambdaContext) -> BatchLimits:
    """Return the limits of one of several concurrent batches. The deadline leaves time for the last answer."""
    remaining_seconds = context.get_remaining_time_in_millis() / 1000
    deadline = time.time() + remaining_seconds - _ANSWER_SECONDS - _CLOSING_SECONDS
    return BatchLimits(concurrent_batches, deadline)
