"""Requests and answers as botocore's service models describe them."""

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

_STATUS = {
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
    "UnknownOperationException": 404,
    "ValidationException": 400,
}


_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "integer": int,
    "timestamp": parse_to_aware_datetime,
}


class BedrockError(Exception):
    """An error as Bedrock answers it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, _STATUS[code]


class ConnectionDropped(Exception):
    """The caller gets no answer at all."""


class NotBedrock(AssertionError):
    """The endpoint itself breaks the service model; a defect of this endpoint, never of its caller."""


@dataclass(frozen=True)
class Route:
    """One operation of the service model."""

    name: str
    method: str
    pattern: re.Pattern[str]
    status: int
    shape: Any
    answer: Any
    errors: frozenset[str]
    """Codes of the errors that the operation may answer with."""


@cache
def routes() -> list[Route]:
    """Return all operations of Bedrock and Bedrock Runtime, those with longer paths first."""
    session = botocore.session.get_session()
    found = []
    for service in ("bedrock", "bedrock-runtime"):
        model = session.get_service_model(service)
        for name in model.operation_names:
            operation = model.operation_model(name)
            uri = operation.http["requestUri"].split("?")[0]
            pattern = re.sub(r"\{(\w+)\+?\}", r"(?P<\1>.+)", uri)
            found.append(
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
    return sorted(found, key=lambda route: -len(route.pattern.pattern))


def match(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """Return the operation of a request and the parameters in its path; raises ``BedrockError``."""
    for route in routes():
        found = route.pattern.match(unquote(raw_path))
        if found and route.method == method:
            return route, found.groupdict()
    raise BedrockError("UnknownOperationException", f"{method} {raw_path}")


def parameters(route: Route, in_path: dict[str, str], query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    """Return an operation's input by member name, checked; raises ``BedrockError``."""
    values = dict(body)
    for name, shape in route.shape.members.items() if route.shape else ():
        wire = shape.serialization.get("name", name)
        if shape.serialization.get("location") == "uri" and wire in in_path:
            values[name] = in_path[wire]
        elif shape.serialization.get("location") == "querystring" and wire in query:
            values[name] = _FROM_TEXT.get(shape.type_name, str)(query[wire])
    checked = _decoded(route.shape, values)
    _check(route.shape, checked)
    return checked


def check_answer(route: Route, answer: dict[str, Any]) -> None:
    """Check what an operation answers as strictly as what it is asked; raises ``NotBedrock``."""
    try:
        _check(route.answer, answer)
    except BedrockError as error:
        raise NotBedrock(f"{route.name} answers what Bedrock would not: {error}") from None


def check_error(route: Route, error: BedrockError) -> None:
    """Check that an operation may fail so; raises ``NotBedrock``."""
    if error.code not in route.errors | {"AccessDeniedException", "UnknownOperationException"}:
        raise NotBedrock(f"{route.name} fails as Bedrock would not: {error.code}: {error}")


def _check(shape: Any, values: dict[str, Any]) -> None:
    report = ParamValidator().validate(values, shape)
    if report.has_errors():
        raise BedrockError("ValidationException", report.generate_report())
    _check_patterns(shape, values, "")


def _decoded(shape: Any, value: Any) -> Any:
    """Turn base64 members into bytes."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name: _decoded(shape.members[name], member) if name in shape.members else member
            for name, member in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_decoded(shape.member, member) for member in value]
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    return value


def _check_patterns(shape: Any, value: Any, where: str) -> None:
    """Check what botocore leaves to the service: patterns, lengths and enumerations of texts."""
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
