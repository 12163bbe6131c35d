"""Serve an ASGI application on 127.0.0.1 from a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.02

_LOG = logging.getLogger("uvicorn.error")
_EXPECTED = ("Cancel ", "ASGI callable returned without completing response")
"""Beginnings of the records about requests that the exit cancels, and about the faults that drop a connection."""


class NotStarted(RuntimeError):
    """A server did not accept connections in time."""


def bound_socket(port: int = 0) -> socket.socket:
    """Return a socket bound to a port of 127.0.0.1; 0 is any free port. Raises ``OSError`` if the port is in use."""
    # Without the protocol asyncio leaves Nagle's algorithm on, which delays most responses by 40 ms.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """A server that stops within ``POLL_SECONDS``; uvicorn's own loop looks every 0.1 seconds."""

    async def main_loop(self) -> None:
        """Return once the server has to stop."""
        while not self.should_exit:
            await asyncio.sleep(POLL_SECONDS)

    def run_in_thread(self, listener: socket.socket) -> None:
        """Serve until the server has to stop. An application that fails to start is logged."""
        with contextlib.suppress(SystemExit):
            self.run([listener])


@contextlib.contextmanager
def serving(application: Any, listener: socket.socket, name: str) -> Iterator[str]:
    """Serve the application and yield its URL; on exit, end the server's thread. Raise NotStarted."""
    port = listener.getsockname()[1]
    _LOG.addFilter(_is_unexpected)
    config = uvicorn.Config(
        application,
        access_log=False,
        date_header=False,  # main_loop would have to renew it
        http="httptools",
        lifespan="on",
        log_config=None,
        log_level=logging.ERROR,  # Its warnings are about clients, such as one that asks for HTTPS.
        loop="asyncio",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
        ws="none",
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run_in_thread, args=(listener,), name=name, daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread, name)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()  # uvicorn leaves it open if the application fails to start.


def _is_unexpected(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and not str(record.msg).startswith(_EXPECTED)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread, name: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise NotStarted(f"{name} did not start within {START_TIMEOUT_SECONDS} s")
        time.sleep(POLL_SECONDS)
