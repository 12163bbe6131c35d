"""Requests to the user's own server: errors, bounds and connections."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from local.bedrock.protocol import BedrockError
from local.bedrock.vlm_server import MAXIMUM_REPLY_BYTES, VlmServer
from tests.support.vlm_stub import Handler, VlmStub, chat_completion, json_reply, raw_reply, vlm_stub

ANSWER = json.dumps(chat_completion()).encode()


@pytest.fixture
def stub() -> Iterator[VlmStub]:
    with vlm_stub() as stub:
        yield stub


def ask(stub: VlmStub, **changes: Any) -> Any:
    return VlmServer(stub.url, **changes).post("/chat/completions", {})


def failure(stub: VlmStub, **changes: Any) -> BedrockError:
    with pytest.raises(BedrockError) as error:
        ask(stub, **changes)
    return error.value


def without_length(*chunks: bytes, chunked: bool = False) -> Handler:
    """Return a handler that sends a body without its length, or in chunks."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if chunked:
            request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for chunk in chunks:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)

    return send


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (401, "AccessDeniedException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (408, "ModelTimeoutException"),
        (413, "ValidationException"),
        (422, "ValidationException"),
        (429, "ThrottlingException"),
        (500, "ModelErrorException"),
        (502, "ServiceUnavailableException"),
        (503, "ServiceUnavailableException"),
        (504, "ModelTimeoutException"),
    ],
)
def test_status_becomes_bedrocks_error_with_the_servers_message(stub: VlmStub, status: int, code: str) -> None:
    stub.reply = json_reply({"error": {"message": "image is too large", "type": "invalid_request"}}, status)
    error = failure(stub)

    assert error.code == code
    assert f"LOCAL_VLM {stub.url} answered {status}: image is too large" in error.message


@pytest.mark.parametrize(
    ("reply", "code", "message"),
    [
        (
            json_reply({"error": {"message": "slow down", "code": 429}}),
            "ThrottlingException",
            "answered 429: slow down",
        ),
        (json_reply({"error": "model crashed"}), "ModelErrorException", "answered 500: model crashed"),
        (json_reply({"error": {"code": "x"}}), "ModelErrorException", "answered 500"),
        (json_reply({"message": "no", "detail": 1}, 400), "ValidationException", "answered 400: no"),
        (json_reply({"detail": [{"loc": "body"}]}, 422), "ValidationException", "answered 422: {"),
        (raw_reply(b"", 400), "ValidationException", "answered 400: no message"),
        (raw_reply(b"\x1b[31m\xff bad\n\n" + b"x" * 5000, 502), "ServiceUnavailableException", "� bad xxx"),
        (
            raw_reply(b"<html>Sign in</html>", Content_Type="text/html"),
            "ModelErrorException",
            "text/html): <html>Sign in",
        ),
        (raw_reply(b'{"choices": [{"mess'), "ModelErrorException", "without a JSON object"),
        (raw_reply(b"[" * 100_000), "ModelErrorException", "without a JSON object"),
        (raw_reply(b"\xff\xfe\x00"), "ModelErrorException", "without a JSON object"),
        (raw_reply(b"null"), "ModelErrorException", "without a JSON object"),
        (raw_reply(b""), "ModelErrorException", "no message"),
    ],
    ids=[
        *("error-with-code", "error-text", "error-without-text", "flat", "detail-list", "empty-400", "control-bytes"),
        *("html", "cut-off", "nested", "binary", "null", "empty"),
    ],
)
def test_reply_that_is_no_answer_is_an_error_with_its_beginning(
    stub: VlmStub, reply: Handler, code: str, message: str
) -> None:
    stub.reply = reply
    error = failure(stub)

    assert error.code == code
    assert message in error.message
    assert "\x1b" not in error.message
    assert "\n" not in error.message
    assert len(error.message) < 500


def test_key_is_in_no_message(stub: VlmStub) -> None:
    stub.reply = json_reply({"error": {"message": "Incorrect API key provided: sk-123"}}, 401)

    assert "key provided: [LOCAL_VLM_KEY]" in failure(stub, key="sk-123").message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(stub: VlmStub, status: int) -> None:
    with vlm_stub() as other:
        stub.reply = raw_reply(b"", status, Location=f"{other.url}/chat/completions")
        error = failure(stub)

    assert error.code == "ModelErrorException"
    assert "with a redirect, which is not followed" in error.message
    assert other.paths == []


def test_proxies_of_the_environment_are_not_used(stub: VlmStub, monkeypatch: pytest.MonkeyPatch) -> None:
    with vlm_stub() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

        assert ask(stub) == chat_completion()
    assert proxy.paths == []


@pytest.mark.parametrize(
    "reply",
    [
        raw_reply(gzip.compress(ANSWER), Content_Encoding="gzip"),
        raw_reply(zlib.compress(ANSWER), Content_Encoding="deflate"),
        without_length(ANSWER[:20], ANSWER[20:], b"", chunked=True),
        without_length(ANSWER),
    ],
    ids=["gzip", "deflate", "chunked", "until-close"],
)
def test_every_transfer_of_a_body_is_read(stub: VlmStub, reply: Handler) -> None:
    stub.reply = reply

    assert ask(stub) == chat_completion()


@pytest.mark.parametrize(
    "reply",
    [
        raw_reply(ANSWER[:50], Content_Length="5000"),
        raw_reply(b"", Content_Length="5000"),
        without_length(ANSWER[:20], chunked=True),
        raw_reply(ANSWER, Content_Encoding="gzip"),
        lambda request: request.wfile.write(b"SSH-2.0-OpenSSH\r\n"),
        lambda request: None,
    ],
    ids=["short-body", "no-body", "chunked-cut-off", "not-gzip", "not-http", "closed"],
)
def test_connection_that_ends_early_is_a_model_error(stub: VlmStub, reply: Handler) -> None:
    stub.reply = reply
    error = failure(stub)

    assert error.code == "ModelErrorException"
    assert "did not send a complete answer" in error.message


@pytest.mark.parametrize(
    "reply",
    [
        raw_reply(b" " * (MAXIMUM_REPLY_BYTES + 1)),
        # Compressed only when the test runs, because it takes a second.
        lambda request: raw_reply(gzip.compress(b" " * 50 * MAXIMUM_REPLY_BYTES, 1), Content_Encoding="gzip")(request),
        without_length(*[b" " * 65_536] * 80, chunked=True),
    ],
    ids=["body", "compressed", "chunked"],
)
def test_long_body_is_not_read_to_its_end(stub: VlmStub, reply: Handler) -> None:
    stub.reply = reply
    error = failure(stub)

    assert error.code == "ModelErrorException"
    assert "answered with more than 4 MB" in error.message


def drip(stub: VlmStub, *, head: bytes) -> Handler:
    """Return a handler that sends a byte every 20 milliseconds, without end."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head)
        while not stub.released.wait(0.02):
            request.wfile.write(b"x")

    return send


@pytest.mark.parametrize("case", ["silent", "headers", "body"])
def test_answer_that_takes_too_long_is_a_timeout_also_if_bytes_keep_coming(stub: VlmStub, case: str) -> None:
    heads = {"headers": b"HTTP/1.1 200 OK\r\nX: ", "body": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"}
    stub.reply = drip(stub, head=heads[case]) if case in heads else lambda request: stub.released.wait()
    error = failure(stub, answer_seconds=0.3)

    assert error.code == "ModelTimeoutException"
    assert "did not answer within 0.3 seconds" in error.message


def test_refused_connection_is_one_sentence() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(BedrockError) as error:
            VlmServer(url).get("/models", 5)

    assert error.value.code == "ServiceUnavailableException"
    assert error.value.message == f"LOCAL_VLM {url} refuses connections. Start the server."


def test_http_server_behind_an_https_url_is_named(stub: VlmStub) -> None:
    with pytest.raises(BedrockError, match=r"has no valid TLS .*Check the URL") as error:
        VlmServer(stub.url.replace("http:", "https:")).get("/models", 5)

    assert error.value.code == "ServiceUnavailableException"


def test_question_beyond_the_limit_waits_and_is_then_throttled(stub: VlmStub) -> None:
    stub.reply = lambda request: stub.released.wait()
    server = VlmServer(stub.url, parallel=1, queue_seconds=0.2)

    def question() -> None:
        with pytest.raises(BedrockError):
            server.post("/chat/completions", {})

    first = threading.Thread(target=question)
    first.start()
    until(lambda: bool(stub.questions))
    with pytest.raises(BedrockError, match="LOCAL_VLM_PARALLEL") as error:
        server.post("/chat/completions", {})
    stub.released.set()
    first.join()

    assert error.value.code == "ThrottlingException"
    assert len(stub.questions) == 1


def test_close_ends_questions_that_are_in_progress_or_wait(stub: VlmStub) -> None:
    stub.reply = lambda request: stub.released.wait()
    server = VlmServer(stub.url, parallel=1)
    errors: list[BedrockError] = []

    def question() -> None:
        with pytest.raises(BedrockError) as error:
            server.post("/chat/completions", {})
        errors.append(error.value)

    threads = [threading.Thread(target=question) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: bool(stub.questions))
    server.close()
    for thread in threads:
        thread.join(timeout=30)

    assert [error.code for error in errors] == ["ServiceUnavailableException"] * 3
    assert {error.message for error in errors} == {"The local Bedrock endpoint is stopping."}


def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition is not true after 10 s")
