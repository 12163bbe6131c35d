"""Serve the local Bedrock over HTTP on 127.0.0.1, for unmodified boto3 clients."""

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
    check_answer,
    check_error,
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


@contextmanager
def bedrock_endpoint(
    *,
    s3: Callable[[], Any],
    work_dir: Path,
    models: Any,
    identity: Any | None = None,
    faults: Faults | None = None,
) -> Iterator[Endpoint]:
    """Run the endpoint; ``s3`` is called when the first object is needed.

    ``identity`` tells who signed a request and what that role may do; without it all is allowed.
    """
    service = Service(s3=s3, cache=work_dir, models=models, identity=identity, faults=faults or Faults())
    with serving(_application(service), bound_socket(), "local-bedrock") as url:
        yield Endpoint(url, service)


def _application(service: Service) -> Starlette:
    async def handle(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_answer, service, request, body)

    methods = ["GET", "POST", "DELETE", "PATCH", "PUT"]
    return Starlette(routes=[PathRoute("/{path:path}", handle, methods=methods)])


class _Dropped(Response):
    """Begins to answer and ends before it said anything, which closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


def _answer(service: Service, request: Request, body: bytes) -> Response:
    try:
        route, in_path = match(request.method, request.scope["raw_path"].decode().split("?")[0])
        return _carried_out(service, route, in_path, request, body)
    except BedrockError as error:
        return _refused(error)


def _carried_out(service: Service, route: Route, in_path: dict[str, str], request: Request, body: bytes) -> Response:
    try:
        values = parameters(route, in_path, dict(request.query_params), json.loads(body or b"{}"))
        if route.name not in OPERATIONS:
            raise BedrockError("ValidationException", f"{route.name} is not part of this local endpoint")
        caller = None
        if service.identity:
            caller = service.identity.principal(request.headers.get("authorization", ""))
        answer = OPERATIONS[route.name](service, values, caller)
    except ConnectionDropped:
        return _Dropped()
    except BedrockError as error:
        check_error(route, error)
        return _refused(error)
    check_answer(route, answer)
    return JSONResponse(answer, status_code=route.status)


def _refused(error: BedrockError) -> JSONResponse:
    return JSONResponse({"message": error.message}, status_code=error.status, headers={"x-amzn-errortype": error.code})
