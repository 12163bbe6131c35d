"""Serve the local Bedrock over HTTP on 127.0.0.1, for unmodified boto3 clients."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from local.bedrock.protocol import BedrockError, match, parameters
from local.bedrock.service import Faults, Service


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
    port = _free_port()
    stop = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(_application(service), port, stop)),
        name="local-bedrock",
        daemon=True,
    )
    thread.start()
    try:
        _await(port)
        yield Endpoint(f"http://127.0.0.1:{port}", service)
    finally:
        stop.set()
        thread.join(10)


def _application(service: Service) -> Starlette:
    async def handle(request: Request) -> JSONResponse:
        body = await request.body()
        return await run_in_threadpool(_answer, service, request, body)

    methods = ["GET", "POST", "DELETE", "PATCH", "PUT"]
    return Starlette(routes=[Route("/{path:path}", handle, methods=methods)])


def _answer(service: Service, request: Request, body: bytes) -> JSONResponse:
    try:
        route, in_path = match(request.method, request.scope["raw_path"].decode().split("?")[0])
        values = parameters(route, in_path, dict(request.query_params), json.loads(body or b"{}"))
        caller = None
        if service.identity:
            caller = service.identity.principal(request.headers.get("authorization", ""))
        return JSONResponse(service.answer(route.name, values, caller), status_code=route.status)
    except BedrockError as error:
        return JSONResponse(
            {"message": error.message}, status_code=error.status, headers={"x-amzn-errortype": error.code}
        )


async def _serve(application: Starlette, port: int, stop: threading.Event) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.loglevel = "ERROR"
    config.graceful_timeout = 0.5

    async def stopped() -> None:
        while not stop.is_set():
            await asyncio.sleep(0.05)

    await serve(application, config, shutdown_trigger=stopped)  # type: ignore[arg-type] - ASGI


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await(port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"the local Bedrock endpoint did not answer on 127.0.0.1:{port}")
