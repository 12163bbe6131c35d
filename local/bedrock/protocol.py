"""Requests, responses and errors of Bedrock, checked against botocore's service models."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import botocore.session
from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator

_STATUS_BY_CODE = {
    "AccessDeniedException": 403,
    "ConflictException": 400,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "TooManyTagsException": 400,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}


_PARSERS: dict[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "integer": int,
    "timestamp": parse_to_aware_datetime,
}


class BedrockError(Exception):
    """An error response of Bedrock."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, _STATUS_BY_CODE[code]


class ConnectionDropped(Exception):
    """The connection is closed without a response."""


class ModelViolation(AssertionError):
    """The endpoint's own response does not fit the service model: a defect of this endpoint and not of its caller."""


@dataclass(frozen=True)
class Route:
    """One operation of the service model."""

    name: str
    method: str
    pattern: re.Pattern[str]
    status: int
    input_shape: Any
    output_shape: Any
    errors: frozenset[str]
    """Codes of the errors that the operation may return."""


@cache
def routes() -> list[Route]:
    """Return all operations of Bedrock and Bedrock Runtime, longest path first."""
    session = botocore.session.get_session()
    operations = []
    for service in ("bedrock", "bedrock-runtime"):
        model = session.get_service_model(service)
        for name in model.operation_names:
            operation = model.operation_model(name)
            uri = operation.http["requestUri"].split("?")[0]
            pattern = re.sub(r"\{(\w+)\+?\}", r"(?P<\1>.+)", uri)
            operations.append(
                Route(
                    name,
                    operation.http["method"],
                    re.compile(f"^{pattern}$"),
                    operation.http.get("responseCode", 200),
                    operation.input_shape,
                    operation.output_shape,
                    frozenset(shape.name for shape in operation.error_shapes),
                )
            )
    return sorted(operations, key=lambda route: -len(route.pattern.pattern))


def match(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """Return the operation of a request and its path parameters; raise BedrockError for an unknown path."""
    for route in routes():
        path = route.pattern.match(unquote(raw_path))
        if path and route.method == method:
            return route, path.groupdict()
    raise BedrockError("UnknownOperationException", f"{method} {raw_path}")


def parameters(route: Route, path: dict[str, str], query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    """Return an operation's input, keyed by member name; raise BedrockError if it is invalid."""
    values = dict(body)
    for name, shape in route.input_shape.members.items() if route.input_shape else ():
        wire_name = shape.serialization.get("name", name)
        if shape.serialization.get("location") == "uri" and wire_name in path:
            values[name] = path[wire_name]
        elif shape.serialization.get("location") == "querystring" and wire_name in query:
            values[name] = _PARSERS.get(shape.type_name, str)(query[wire_name])
    values = _decode_blobs(route.input_shape, values)
    _check(route.input_shape, values)
    return values


def check_response(route: Route, response: dict[str, Any]) -> None:
    """Raise ModelViolation unless a response fits the operation's output shape."""
    try:
        _check(route.output_shape, response)
    except BedrockError as error:
        raise ModelViolation(f"{route.name} returned a response that Bedrock cannot return: {error}") from None


def check_error(route: Route, error: BedrockError) -> None:
    """Raise ModelViolation unless the operation may return this error."""
    if error.code not in route.errors | {"AccessDeniedException", "UnknownOperationException"}:
        raise ModelViolation(f"{route.name} returned an error that Bedrock cannot return: {error.code}: {error}")


def _check(shape: Any, values: dict[str, Any]) -> None:
    report = ParamValidator().validate(values, shape)
    if report.has_errors():
        raise BedrockError("ValidationException", report.generate_report())
    _check_patterns(shape, values, "")


def _decode_blobs(shape: Any, value: Any) -> Any:
    """Return a value with its base64 members decoded to bytes."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name: _decode_blobs(shape.members[name], member) if name in shape.members else member
            for name, member in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_decode_blobs(shape.member, member) for member in value]
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    return value


def _check_patterns(shape: Any, value: Any, where: str) -> None:
    """Check the patterns, lengths and enumerations of strings, which botocore leaves to the service."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in value.items():
            if name in shape.members:
                _check_patterns(shape.members[name], member, f"{where}.{name}".lstrip("."))
    elif shape.type_name == "list" and isinstance(value, list):
        for index, member in enumerate(value):
            _check_patterns(shape.member, member, f"{where}.{index}")
    elif shape.type_name == "string" and isinstance(value, str):
        rule = shape.metadata
        pattern = rule.get("pattern")
        if (
            (pattern and not re.fullmatch(pattern, value))
            or len(value) > rule.get("max", len(value))
            or (rule.get("enum") and value not in rule["enum"])
        ):
            raise BedrockError("ValidationException", f"Value '{value}' at '{where}' failed to satisfy constraint")
