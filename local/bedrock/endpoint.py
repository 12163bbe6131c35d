"""Serve the local Bedrock endpoint over HTTP on 127.0.0.1, for unmodified boto3 clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as PathRoute
from starlette.types import Receive, Scope, Send

from local.bedrock import converse, deployments, jobs, models, tags
from local.bedrock.faults import Faults
from local.bedrock.protocol import (
    BedrockError,
    ConnectionDropped,
    Route,
    check_error,
    check_response,
    match,
    parameters,
)
from local.bedrock.service import Operation, Service
from local.http_server import bound_socket, serving

OPERATIONS: dict[str, Operation] = {
    **converse.OPERATIONS,
    **deployments.OPERATIONS,
    **jobs.OPERATIONS,
    **models.OPERATIONS,
    **tags.OPERATIONS,
}


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint."""

    url: str
    service: Service
    """State of the endpoint, to seed and to inspect."""


@contextmanager
def bedrock_endpoint(
    *,
    s3: Callable[[], Any],
    cache: Path,
    identity: Any | None = None,
    faults: Faults | None = None,
) -> Iterator[Endpoint]:
    """Run the endpoint and stop it on exit.

    ``s3`` returns the S3 client for datasets and images; it is called when an object is needed. ``cache`` is the folder
    of converted models. ``identity`` finds the role that signed a request and that role's rights; without it
    everything is allowed.
    """
    service = Service(s3=s3, cache=cache, identity=identity, faults=faults or Faults())
    with serving(_application(service), bound_socket(), "local-bedrock") as url:
        yield Endpoint(url, service)


def _application(service: Service) -> Starlette:
    async def handle(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_respond, service, request, body)

    methods = ["GET", "POST", "DELETE", "PATCH", "PUT"]
    return Starlette(routes=[PathRoute("/{path:path}", handle, methods=methods)])


class _DroppedConnection(Response):
    """A response that ends before its body, which closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


def _respond(service: Service, request: Request, body: bytes) -> Response:
    try:
        route, path = match(request.method, request.scope["raw_path"].decode().split("?")[0])
        return _run_operation(service, route, path, request, body)
    except BedrockError as error:
        return _error_response(error)


def _run_operation(service: Service, route: Route, path: dict[str, str], request: Request, body: bytes) -> Response:
    try:
        values = parameters(route, path, dict(request.query_params), json.loads(body or b"{}"))
        if route.name not in OPERATIONS:
            raise BedrockError("ValidationException", f"{route.name} is not part of this local endpoint")
        caller = None
        if service.identity:
            caller = service.identity.principal(request.headers.get("authorization", ""))
        response = OPERATIONS[route.name](service, values, caller)
    except ConnectionDropped:
        return _DroppedConnection()
    except BedrockError as error:
        check_error(route, error)
        return _error_response(error)
    check_response(route, response)
    return JSONResponse(response, status_code=route.status)


def _error_response(error: BedrockError) -> JSONResponse:
    return JSONResponse({"message": error.message}, status_code=error.status, headers={"x-amzn-errortype": error.code})
