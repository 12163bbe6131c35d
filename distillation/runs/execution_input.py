"""Read the input that an execution was started with: an S3 event from EventBridge, or a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue

from distillation import keys
from distillation.aws_errors import service_errors
from distillation.errors import InvalidRequest, ServiceUnavailable, excerpt
from distillation.records import parse_json

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_REQUEST = """a JSON object with the field 'collection', such as {"collection": "holiday/"}"""


@dataclass(frozen=True)
class Upload:
    """The upload of a ``distill.json``, from an S3 event."""

    key: str
    """Key of the object in the Photos bucket."""
    identity: str
    """Version id of the object, or its ETag without a version id."""

    @property
    def collection(self) -> str:
        """Folder of the object."""
        return self.key.removesuffix(keys.REQUEST_FILE)


@dataclass(frozen=True)
class StartedRequest:
    """The input of StartExecution, such as from the console: a request that is not checked yet."""

    collection: JsonValue
    """Value of the field ``collection``; None without one."""
    fields: dict[str, JsonValue] = field(default_factory=dict)
    """The other fields."""


ExecutionInput: TypeAlias = Upload | StartedRequest


def read_input(client: SFNClient, execution: str) -> str:
    """Return the input of an execution as text.

    Raises ``ServiceUnavailable``, also if Step Functions does not know the execution yet: DescribeExecution is
    eventually consistent.
    """
    with service_errors(f"execution {execution}"):
        try:
            return client.describe_execution(executionArn=execution).get("input", "{}")
        except client.exceptions.ExecutionDoesNotExist:
            raise ServiceUnavailable(f"Step Functions does not know execution {execution} yet") from None


def parse_input(text: str) -> ExecutionInput:
    """Return the input of an execution. Raises ``InvalidRequest`` if it is not a JSON object, or not S3's event.

    An object that names a collection is a request, even with ``detail``, so that no other collection is used.
    """
    fields = parse_json(text, "the execution's input")
    if not isinstance(fields, dict):
        raise InvalidRequest(f"the execution's input must be {_REQUEST}")
    if "detail" in fields and "collection" not in fields:
        return _parse_event(fields["detail"])
    return StartedRequest(fields.pop("collection", None), fields)


def run_name_in(text: str, execution: str) -> str | None:
    """Return the name of the run that an input leads to, without reading S3; None if the input names none."""
    try:
        start = parse_input(text)
    except InvalidRequest:
        return None  # Neither an S3 event nor a request.
    if isinstance(start, Upload):
        return keys.run_name(start.collection, start.identity)
    return keys.run_name(start.collection, execution) if isinstance(start.collection, str) else None


def _parse_event(detail: JsonValue) -> Upload:
    """Return the upload of an event. Raises ``InvalidRequest`` if ``detail`` is not that of S3's event."""
    match detail:
        case {"object": {"key": str(key), "version-id": str(identity)}} if identity:
            upload = Upload(key, identity)
        case {"object": {"key": str(key), "etag": str(identity)}} if identity:
            upload = Upload(key, identity)
        case _:
            raise InvalidRequest(
                f"the execution's input: field 'detail' is not that of an S3 event. Give {_REQUEST} instead"
            )
    if not upload.collection.endswith("/") or upload.collection == key:
        raise InvalidRequest(
            f"the execution's input: {excerpt(key)!r} is not the {keys.REQUEST_FILE} of a folder. "
            f"Give {_REQUEST} instead"
        )
    return upload
