"""Serve the local Bedrock endpoint over HTTP on 127.0.0.1, for unmodified boto3 clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
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
from local.bedrock.vlm import Vlm
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
    vlm: Vlm | None = None,
    port: int = 0,
) -> Iterator[Endpoint]:
    """Run the endpoint and stop it on exit.

    ``s3`` returns the S3 client for datasets and images; it is called when an object is needed. ``cache`` is the folder
    of converted models. ``identity`` finds the role that signed a request and that role's permissions; without it
    everything is allowed. ``vlm`` has the models of the user's own server, which answer instead of small local ones.
    ``port`` 0 is any free port. Raises ``OSError`` if the port is in use.
    """
    service = Service(s3=s3, cache=cache, identity=identity, faults=faults or Faults(), vlm=vlm)
    with (
        serving(_application(service), bound_socket(port), "local-bedrock") as url,
        vlm.named() if vlm else nullcontext(),
    ):
        yield Endpoint(url, service)


MAXIMUM_THREADS = 256
"""Requests that are answered at the same time. Questions that wait for the user's own server are in many of them."""


def _application(service: Service) -> Starlette:
    threads = CapacityLimiter(MAXIMUM_THREADS)

    async def handle(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response()  # Nobody reads it.
        return await to_thread.run_sync(_respond, service, request, body, limiter=threads)

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
