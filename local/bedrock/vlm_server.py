"""HTTP requests to the user's OpenAI-compatible server, with bounds on time and size.

``http.client`` reads no proxies from the environment and follows no redirects, so a request reaches only the URL that
the user gave.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from distillation.errors import excerpt
from distillation.plain_text import clean_line
from local.bedrock.protocol import BedrockError

CONNECT_SECONDS = 5
MAXIMUM_REPLY_BYTES = 4 * 1024 * 1024
_POLL_SECONDS = 0.2
_GZIP_OR_ZLIB = 47
"""``wbits`` of zlib for both formats, recognised by their headers."""
_CODES = {
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    # A server answers 500 about an image that it cannot process; the pipeline sets such an image aside after six
    # ModelErrorExceptions, and repeats a call without end after ServiceUnavailableException.
    500: "ModelErrorException",
    504: "ModelTimeoutException",
}
"""Error codes of Bedrock by the server's status; see ``_code`` for the others."""
_REMEDIES = {
    401: "Set LOCAL_VLM_KEY to the key that the server expects",
    403: "Set LOCAL_VLM_KEY to a key that may use the model",
    404: "Check that LOCAL_VLM ends like http://127.0.0.1:11434/v1 and that the server has the model",
}


@dataclass
class VlmServer:
    """An OpenAI-compatible server. ``close`` ends requests that are in progress."""

    url: str
    """Base URL without a final slash, such as ``http://127.0.0.1:11434/v1``."""
    key: str | None = field(default=None, repr=False)
    """Bearer token, or None. It is in no message."""
    parallel: int = 4
    """Largest number of concurrent questions."""
    queue_seconds: float = 25
    """Time that a question may wait for another to end, in seconds; then it is throttled."""
    answer_seconds: float = 90
    """Time that an answer may take, in seconds.

    With ``queue_seconds`` it is below the 120 seconds that the functions wait for an answer.
    """

    def __post_init__(self) -> None:
        self._parts: SplitResult = urlsplit(self.url)
        self._slots = threading.BoundedSemaphore(self.parallel)
        self._open: set[socket.socket] = set()
        self._closed, self._lock = threading.Event(), threading.Lock()

    def get(self, path: str, seconds: float) -> Any:
        """Return the JSON document of a GET request; raise BedrockError."""
        return self._request("GET", path, None, seconds)

    def post(self, path: str, document: Any) -> Any:
        """Return the JSON document that answers a question; raise BedrockError.

        At most ``parallel`` questions are in progress; others wait.
        """
        with self._slot():
            return self._request("POST", path, document, self.answer_seconds)

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the requests in progress, and refuse later ones."""
        self._closed.set()
        with self._lock:
            for connection in self._open:
                _shut_down(connection)

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        waited = 0.0
        while not self._slots.acquire(timeout=_POLL_SECONDS):
            waited += _POLL_SECONDS
            self._check_open()
            if waited >= self.queue_seconds:
                raise BedrockError(
                    "ThrottlingException",
                    f"{self.parallel} questions to LOCAL_VLM are in progress, and none ended within "
                    f"{self.queue_seconds:g} seconds. LOCAL_VLM_PARALLEL sets their number.",
                )
        try:
            yield
        finally:
            self._slots.release()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise BedrockError("ServiceUnavailableException", "The local Bedrock endpoint is stopping.")

    def _request(self, method: str, path: str, document: Any, seconds: float) -> Any:
        self._check_open()
        status, content_type, body = self._exchange(method, path, document, seconds)
        if 300 <= status < 400:
            raise BedrockError(
                "ModelErrorException",
                f"LOCAL_VLM {self.url} answered {status} with a redirect, which is not followed. Set LOCAL_VLM to the "
                "final URL.",
            )
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            reply = None
        if status >= 400:
            raise self._error(status, self._message(reply, body))
        if isinstance(reply, dict) and reply.get("error"):
            error = reply["error"]
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            raise self._error(status, self._message(reply, body))
        if not isinstance(reply, dict):
            raise BedrockError(
                "ModelErrorException",
                f"LOCAL_VLM {self.url} answered without a JSON object (content type "
                f"{self._plain(content_type or 'not set')}): {self._message(None, body)}",
            )
        return reply

    def _exchange(self, method: str, path: str, document: Any, seconds: float) -> tuple[int, str, bytes]:
        """Return status, content type and body of a response."""
        connection = self._connect()
        opened, expired = connection.sock, threading.Event()
        opened.settimeout(seconds)

        def expire() -> None:
            expired.set()
            _shut_down(opened)

        timer = threading.Timer(seconds, expire)
        timer.daemon = True
        with self._lock:
            self._open.add(opened)
        try:
            self._check_open()
            timer.start()
            connection.request(method, f"{self._parts.path}{path}", *self._content(document))
            response = connection.getresponse()
            body = response.read(MAXIMUM_REPLY_BYTES + 1)
            if expired.is_set() or self._closed.is_set():  # What was read may look whole, such as headers.
                raise http.client.HTTPException
            if response.length:  # Nothing else tells that a body with a length ended early.
                body = self._whole(response, body)
            return response.status, response.getheader("content-type", ""), self._decoded(response, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if expired.is_set() or isinstance(error, TimeoutError):
                raise BedrockError(
                    "ModelTimeoutException", f"LOCAL_VLM {self.url} did not answer within {seconds:g} seconds."
                ) from None
            self._check_open()
            raise BedrockError(
                "ModelErrorException",
                f"LOCAL_VLM {self.url} did not send a complete answer ({self._plain(error) or type(error).__name__}).",
            ) from None
        finally:
            timer.cancel()
            with self._lock:
                self._open.discard(opened)
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
        except ConnectionRefusedError:
            problem = "refuses connections. Start the server"
        except TimeoutError:
            problem = f"does not accept connections within {CONNECT_SECONDS} seconds. Start the server"
        except socket.gaierror:
            problem = "has an unknown host name. Check the URL"
        except ssl.SSLError as error:
            problem = f"has no valid TLS ({self._plain(error)}). Check the URL"
        except (OSError, UnicodeError) as error:
            problem = f"cannot be reached ({self._plain(error)}). Check the URL"
        else:
            return connection
        connection.close()
        raise BedrockError("ServiceUnavailableException", f"LOCAL_VLM {self.url} {problem}.")

    def _content(self, document: Any) -> tuple[bytes | None, dict[str, str]]:
        """Return body and headers of a request."""
        headers = {"Accept": "application/json", "Connection": "close"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if document is None:
            return None, headers
        return json.dumps(document).encode(), headers | {"Content-Type": "application/json"}

    @staticmethod
    def _whole(response: http.client.HTTPResponse, body: bytes) -> bytes:
        """Return a body of at most ``MAXIMUM_REPLY_BYTES``; raise HTTPException if it ended early."""
        if len(body) <= MAXIMUM_REPLY_BYTES:
            raise http.client.IncompleteRead(body, response.length)
        return body

    def _decoded(self, response: http.client.HTTPResponse, body: bytes) -> bytes:
        """Return a body without its compression; raise BedrockError if it is too long."""
        if response.getheader("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
            try:
                body = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, MAXIMUM_REPLY_BYTES + 1)
            except zlib.error as error:
                raise http.client.HTTPException(f"invalid compression: {error}") from None
        if len(body) > MAXIMUM_REPLY_BYTES:
            raise BedrockError(
                "ModelErrorException",
                f"LOCAL_VLM {self.url} answered with more than {MAXIMUM_REPLY_BYTES // 2**20} MB.",
            )
        return body

    def _error(self, status: int, message: str) -> BedrockError:
        remedy = f". {_REMEDIES[status]}" if status in _REMEDIES else ""
        return BedrockError(_code(status), f"LOCAL_VLM {self.url} answered {status}: {message.rstrip('.')}{remedy}.")

    def _message(self, reply: Any, body: bytes) -> str:
        """Return the server's own message, or the beginning of its body."""
        error = reply.get("error", reply) if isinstance(reply, dict) else None
        if isinstance(error, dict):
            error = error.get("message") or error.get("detail")
        return self._plain(error if isinstance(error, str) else body[:2000].decode(errors="replace")) or "no message"

    def _plain(self, text: object) -> str:
        """Return a text of the server as one short line without the key."""
        line = clean_line(str(text))
        return excerpt(line.replace(self.key, "[LOCAL_VLM_KEY]") if self.key else line)


def _code(status: int) -> str:
    """Return Bedrock's error code for a status of 400 and above."""
    return _CODES.get(status, "ServiceUnavailableException" if status >= 500 else "ValidationException")


def _shut_down(connection: socket.socket) -> None:
    """End a connection, so that a thread that reads from it continues."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # That of SSLSocket breaks a concurrent read.
