from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import threading
from contextlib import ExitStack, closing
from typing import Any

import pytest

from local.http_server import HOST, NotStarted, bound_socket, serving

SERVER = "server under test"


async def answer_with_the_path(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def fail_to_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


def test_server_answers_until_the_end_of_the_block_and_leaves_neither_thread_nor_port() -> None:
    listener = bound_socket()
    port = listener.getsockname()[1]
    with ExitStack() as stack, serving(answer_with_the_path, listener, SERVER) as url:
        connection = stack.enter_context(closing(http.client.HTTPConnection(HOST, port, timeout=10)))
        connection.request("GET", "/a/b")

        assert url == f"http://127.0.0.1:{port}"
        assert connection.getresponse().read() == b"/a/b"
        assert SERVER in [thread.name for thread in threading.enumerate()]

    # The connection was still open.
    assert SERVER not in [thread.name for thread in threading.enumerate()]
    bound_socket(port).close()


def test_listener_has_the_protocol_without_which_asyncio_delays_responses() -> None:
    with bound_socket() as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert listener.getsockname()[0] == "127.0.0.1"


def test_port_in_use_is_an_error() -> None:
    with bound_socket() as listener:
        listener.listen()
        with pytest.raises(OSError, match="in use"):
            bound_socket(listener.getsockname()[1])


def test_application_that_fails_to_start_is_an_error() -> None:
    with pytest.raises(NotStarted, match=SERVER), serving(fail_to_start, bound_socket(), SERVER):
        pass

    assert SERVER not in [thread.name for thread in threading.enumerate()]


async def misbehave(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await answer_with_the_path(scope, receive, send)
        return
    if scope["path"] == "/fails":
        raise ValueError("a defect of the application")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    if scope["path"] == "/waits":
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "request_text",
    [
        "no HTTP",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket",
        "GET /dropped HTTP/1.1\r\nHost: x",
    ],
    ids=["no HTTP", "websocket", "dropped connection"],
)
def test_requests_that_cannot_be_answered_are_not_logged(request_text: str, caplog: pytest.LogCaptureFixture) -> None:
    listener = bound_socket()
    with serving(misbehave, listener, SERVER), socket.create_connection(listener.getsockname(), 10) as client:
        client.sendall(f"{request_text}\r\n\r\n".encode())
        while client.recv(4096):
            pass

    assert caplog.messages == []


def test_requests_that_the_exit_cancels_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    listener = bound_socket()
    with serving(misbehave, listener, SERVER), socket.create_connection(listener.getsockname(), 10) as client:
        client.sendall(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")

    assert caplog.messages == []


def test_defect_of_the_application_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    listener = bound_socket()
    connection = http.client.HTTPConnection(*listener.getsockname(), timeout=10)
    with serving(misbehave, listener, SERVER), closing(connection):
        connection.request("GET", "/fails")

        assert connection.getresponse().status == 500

    assert "a defect of the application" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
