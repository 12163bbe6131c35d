"""Serve an ASGI application on 127.0.0.1 from a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.02


class NotStarted(RuntimeError):
    """A server did not accept connections in time."""


def bound_socket(port: int = 0) -> socket.socket:
    """Return a socket bound to a port of 127.0.0.1; 0 is any free port. Raises ``OSError`` if the port is in use."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def serving(application: Any, listener: socket.socket, name: str) -> Iterator[str]:
    """Serve the application and yield its URL; on exit, end the server's thread. Raise NotStarted."""
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
    config.graceful_timeout = 1
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    stopping = threading.Event()

    async def until_stopped() -> None:
        while not stopping.is_set():
            await asyncio.sleep(POLL_SECONDS)

    async def run() -> None:
        await serve(application, config, shutdown_trigger=until_stopped)

    server = threading.Thread(target=lambda: asyncio.run(run()), name=name, daemon=True)
    server.start()
    try:
        _wait_until_reachable(server, port, name)
        yield f"http://{HOST}:{port}"
    finally:
        stopping.set()
        server.join(timeout=10)


def _wait_until_reachable(server: threading.Thread, port: int, name: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while server.is_alive() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 0.2).close()
            return
        time.sleep(POLL_SECONDS)
    raise NotStarted(f"{name} did not accept connections on {HOST}:{port} within {START_TIMEOUT_SECONDS} s")
