"""Serve an ASGI application on 127.0.0.1 from a thread, and stop it whatever happens."""

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
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.02


class NotStarted(RuntimeError):
    """A server did not come up."""


def bound_socket(port: int = 0) -> socket.socket:
    """Return a socket bound to a port of this machine; 0 takes a free one."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    return listener


@contextlib.contextmanager
def serving(application: Any, listener: socket.socket, name: str) -> Iterator[str]:
    """Serve and yield the URL; on the way out the thread has ended. Raises ``NotStarted``."""
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
    config.graceful_timeout = 1
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    stopping = threading.Event()

    async def until_stopped() -> None:
        while not stopping.is_set():
            await asyncio.sleep(PAUSE_SECONDS)

    async def run() -> None:
        await serve(application, config, shutdown_trigger=until_stopped)

    server = threading.Thread(target=lambda: asyncio.run(run()), name=name, daemon=True)
    server.start()
    try:
        _await(server, port, name)
        yield f"http://{HOST}:{port}"
    finally:
        stopping.set()
        server.join(timeout=10)


def _await(server: threading.Thread, port: int, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while server.is_alive() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 0.2).close()
            return
        time.sleep(PAUSE_SECONDS)
    raise NotStarted(f"{name} did not answer on {HOST}:{port} within {PATIENCE_SECONDS} s")
