"""A stub of an OpenAI-compatible server, which records its requests and sends replies that a test chooses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEACHER_MODEL, STUDENT_MODEL = "qwen2.5vl:7b", "moondream:latest"
Handler = Callable[[BaseHTTPRequestHandler], object]


def chat_completion(content: Any = "cat, sofa, window", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    """Return a chat completion as Ollama and vLLM send it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 812, "completion_tokens": 9, "total_tokens": 821},
    }


def json_reply(document: Any, status: int = 200, **headers: str) -> Handler:
    """Return a handler that sends a JSON document."""
    return raw_reply(json.dumps(document).encode(), status, **{"Content_Type": "application/json", **headers})


def raw_reply(body: bytes, status: int = 200, **headers: str) -> Handler:
    """Return a handler that sends a body with its length; ``_`` in the name of a header is a hyphen."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return send


@dataclass
class VlmStub:
    """The running stub."""

    url: str
    """Base URL, which ends in ``/v1``."""
    reply: Handler = field(default_factory=lambda: json_reply(chat_completion()))
    """Handler of questions."""
    models: Handler = field(
        default_factory=lambda: json_reply({"data": [{"id": TEACHER_MODEL}, {"id": STUDENT_MODEL}, {"id": "llama3"}]})
    )
    """Handler of GET /v1/models."""
    questions: list[dict[str, Any]] = field(default_factory=list)
    """Documents of the questions."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Headers of all requests, in lower case."""
    paths: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    """Event that ends handlers which wait; set at the end of the test."""


@contextmanager
def vlm_stub() -> Iterator[VlmStub]:
    """Run the stub on a free port of 127.0.0.1, and stop it on exit."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._note()
            stub.models(self)

        def do_POST(self) -> None:
            self._note()
            stub.questions.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            stub.reply(self)

        def _note(self) -> None:
            stub.paths.append(f"{self.command} {self.path}")
            stub.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore clients that end their connection."""

    with Server(("127.0.0.1", 0), Requests) as server:
        stub = VlmStub(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stub
        finally:
            stub.released.set()
            server.shutdown()
            thread.join()
