"""Read the input that an execution was started with: an S3 event from EventBridge, or a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distillation.aws_errors import service_errors
from distillation.errors import InvalidRequest, ServiceUnavailable
from distillation.records import parse_json
from distillation.runs.request import run_name_of

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


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


def parse_input(text: str) -> dict[str, Any]:
    """Return the input of an execution. Raises ``InvalidRequest`` if it is not a JSON object."""
    fields = parse_json(text, "the execution's input")
    if not isinstance(fields, dict):
        raise InvalidRequest(
            "the execution's input must be a JSON object with the field 'collection', such as "
            '{"collection": "holiday/"}'
        )
    return fields


def run_name_in(text: str, execution: str) -> str | None:
    """Return the name of the run that an input leads to, without reading S3; None if the input names none."""
    try:
        return run_name_of(parse_input(text), execution)
    except (InvalidRequest, LookupError, TypeError, AttributeError):
        return None  # Neither an S3 event nor a request.
