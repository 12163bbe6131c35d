"""The user's own vision models behind Converse: any OpenAI-compatible server, such as Ollama, vLLM or llama.cpp.

``LOCAL_VLM`` is the server's URL, ``TEACHER_MODEL`` and ``STUDENT_MODEL`` are models of it, and ``LOCAL_VLM_KEY`` is
its key, if it has one. Tuned models stay the small local student, which the endpoint can train.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cli.console import CommandError, print_line
from distillation.errors import excerpt
from distillation.models import catalog
from distillation.plain_text import clean_line
from local.bedrock.protocol import BedrockError
from local.bedrock.vlm_server import VlmServer
from local.models import ModelPair

CHECK_SECONDS = 10
"""Time in seconds that the server has to list its models at the start."""
MAXIMUM_PARALLEL = 64
_MAXIMUM_NAME_CHARACTERS = 200
_LISTED_MODELS = 10
"""Models of the server that an error message names."""
_CHARACTERS_PER_TOKEN = 16
"""Longest text that a token stands for on average. A longer answer comes from a server that ignores ``max_tokens``."""
_MAXIMUM_TOKENS = 2**31 - 1
_SETTINGS = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}
"""Inference settings of Converse and their names in a chat completion."""
_STOP_REASONS = {
    "stop": "end_turn",
    "eos_token": "end_turn",
    "length": "max_tokens",
    "content_filter": "content_filtered",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}
"""Stop reasons by ``finish_reason``; any other is ``malformed_model_output``, which the pipeline does not accept."""
_REASONING = re.compile(r"\A\s*<think>.*?(</think>\s*|\Z)", re.DOTALL)
"""Reasoning that a server leaves in the content. Bedrock keeps it apart from the answer."""
_REPORT_SECONDS = 60
"""Time in seconds between two log lines about a server that cannot answer."""
_log = logging.getLogger("local.vlm")


@dataclass(frozen=True)
class VlmAnswer:
    """An answer of the server."""

    text: str
    stop_reason: str
    """Stop reason of Converse."""
    input_tokens: int | None
    """Tokens that the server counted, or None."""
    output_tokens: int | None


@dataclass
class Vlm:
    """The user's server and the models of the catalog for which it answers."""

    server: VlmServer
    models: Mapping[str, str]
    """Models of the server, keyed by the id of the model in the catalog."""
    _problem: str | None = field(default=None, init=False)
    """Problem that was logged and is not over, or None."""
    _quiet_until: float = field(default=0.0, init=False)
    """Time before which no further problem is logged, on the clock of ``time.monotonic``."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def answer(self, id: str, values: dict[str, Any], image: bytes | None) -> VlmAnswer:
        """Return the answer to a Converse request; ``image`` replaces the source of its image. Raises BedrockError."""
        question = {
            "model": self.models[id],
            "messages": _messages(values, image),
            "stream": False,
            **{
                _SETTINGS[name]: value
                for name, value in values.get("inferenceConfig", {}).items()
                if name in _SETTINGS and value is not None
            },
        }
        try:
            reply = self.server.post("/chat/completions", question)
        except BedrockError as error:
            if error.code == "ServiceUnavailableException" and not self.server.is_closed:
                self._report(error.message)
            raise
        self._report(None)
        return _answer(reply, question.get("max_tokens"))

    def check(self) -> None:
        """Check that the server answers and has the models; raise CommandError."""
        try:
            reply = self.server.get("/models", CHECK_SECONDS)
        except BedrockError as error:
            raise CommandError(error.message) from None
        listed = [entry.get("id") for entry in _list(reply.get("data")) if isinstance(entry, dict)]
        known = sorted(clean_line(id) for id in listed if isinstance(id, str))
        missing = [name for name in dict.fromkeys(self.models.values()) if not {name, f"{name}:latest"} & set(known)]
        if missing:
            some = ", ".join(known[:_LISTED_MODELS]) + (", ..." if len(known) > _LISTED_MODELS else "")
            raise CommandError(
                f"LOCAL_VLM {self.server.url} has no model {' and no model '.join(map(repr, missing))} (it has: "
                f"{some or 'none'}). Load the model there, or change TEACHER_MODEL or STUDENT_MODEL."
            )

    @contextmanager
    def named(self) -> Iterator[None]:
        """Set the names of the server's models in this process and its functions; on exit, end its requests."""
        before = os.environ.get(catalog.SERVED_NAMES)
        os.environ[catalog.SERVED_NAMES] = json.dumps(dict(self.models))
        catalog.set_served_names(os.environ[catalog.SERVED_NAMES])
        try:
            yield
        finally:
            self.server.close()
            os.environ.pop(catalog.SERVED_NAMES)
            if before is not None:
                os.environ[catalog.SERVED_NAMES] = before
            catalog.set_served_names(before or "{}")

    def _report(self, problem: str | None) -> None:
        """Log that the server cannot answer, at most once in ``_REPORT_SECONDS``, and that it answers again."""
        with self._lock:
            before, self._problem = self._problem, problem
            if problem and (before or time.monotonic() < self._quiet_until):
                self._problem = before
                return
            if problem:
                self._quiet_until = time.monotonic() + _REPORT_SECONDS
        if problem:
            _log.warning("%s The run waits for it.", problem)
        elif before:
            _log.warning("LOCAL_VLM %s answers again.", self.server.url)


def vlm_from_environment(pair: ModelPair, environment: Mapping[str, str] = os.environ) -> Vlm | None:
    """Return the models that the environment names, after a check of their server; None without ``LOCAL_VLM``.

    The server answers for the teachers and for the student of ``pair``; other students of the stage answer themselves.
    Raises ``CommandError``.
    """
    url = environment.get("LOCAL_VLM", "").strip()
    names = {variable: _model_name(variable, environment) for variable in ("TEACHER_MODEL", "STUDENT_MODEL")}
    given = [variable for variable, name in names.items() if name]
    if not url:
        if given:
            raise CommandError(
                f"{' and '.join(given)} set without LOCAL_VLM. Set LOCAL_VLM to the URL of the server, such as "
                "http://127.0.0.1:11434/v1."
            )
        return None
    if not given:
        raise CommandError("LOCAL_VLM is set without a model. Set TEACHER_MODEL, STUDENT_MODEL or both to its models.")
    teachers = [id for id, model in catalog.models().items() if id.startswith("local.") and model.training_id is None]
    models = dict.fromkeys(teachers, names["TEACHER_MODEL"]) | {pair.student_id: names["STUDENT_MODEL"]}
    server = VlmServer(checked_url(url), _key(environment), _parallel(environment))
    vlm = Vlm(server, {id: name for id, name in models.items() if name})
    vlm.check()
    roles = ", ".join(f"{variable} {name}" for variable, name in names.items() if name)
    print_line(f"LOCAL_VLM: prompts and photos go to {server.url} ({roles})")
    return vlm


def checked_url(text: str) -> str:
    """Return the base URL of a server without a final slash; raise CommandError, without a password in its message."""
    example = "Set it to a URL such as http://127.0.0.1:11434/v1."
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise CommandError(f"LOCAL_VLM is not a valid URL. {example}") from None
    if "@" in text:
        raise CommandError(f"LOCAL_VLM must not contain a user name or password. Set LOCAL_VLM_KEY. {example}")
    shown = excerpt(clean_line(re.split("[?#]", text)[0]))  # A query may have a key.
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise CommandError(f"LOCAL_VLM {shown!r} is not an http or https URL. {example}")
    if parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", text):
        raise CommandError(f"LOCAL_VLM {shown!r} must have no query, no fragment and only ASCII characters. {example}")
    return text.rstrip("/")


def _model_name(variable: str, environment: Mapping[str, str]) -> str:
    name = environment.get(variable, "").strip()
    if name != clean_line(name) or len(name) > _MAXIMUM_NAME_CHARACTERS:
        raise CommandError(
            f"{variable} {excerpt(clean_line(name))!r} is not a model name of at most {_MAXIMUM_NAME_CHARACTERS} "
            "visible characters."
        )
    return name


def _key(environment: Mapping[str, str]) -> str | None:
    key = environment.get("LOCAL_VLM_KEY", "").strip()
    if key and not re.fullmatch(r"[!-~]+", key):
        raise CommandError("LOCAL_VLM_KEY has characters that an HTTP header cannot have.")
    return key or None


def _parallel(environment: Mapping[str, str]) -> int:
    text = environment.get("LOCAL_VLM_PARALLEL", "").strip() or "4"
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAXIMUM_PARALLEL:
        raise CommandError(f"LOCAL_VLM_PARALLEL must be a whole number from 1 to {MAXIMUM_PARALLEL} (got {text!r}).")
    return int(text)


def _messages(values: dict[str, Any], image: bytes | None) -> list[dict[str, Any]]:
    """Return the messages of a chat completion for a Converse request."""
    system = "\n\n".join(block["text"] for block in values.get("system", []) if "text" in block)
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for message in values["messages"]:
        parts = [_part(block, image) for block in message["content"]]
        texts = [part["text"] for part in parts if "text" in part]
        # Not every server takes parts in a message that is only text.
        content = "\n\n".join(texts) if len(texts) == len(parts) else parts
        messages.append({"role": message["role"], "content": content})
    return messages


def _part(block: dict[str, Any], image: bytes | None) -> dict[str, Any]:
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    if "image" in block and image is not None:
        data = base64.b64encode(image).decode()
        return {"type": "image_url", "image_url": {"url": f"data:image/{block['image']['format']};base64,{data}"}}
    raise BedrockError("ValidationException", f"LOCAL_VLM takes texts and images, not {', '.join(block)}.")


def _answer(reply: dict[str, Any], max_tokens: int | None) -> VlmAnswer:
    """Return the answer in a chat completion; raise BedrockError if it has none."""
    choices = _list(reply.get("choices"))
    choice = choices[0] if choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise BedrockError("ModelErrorException", "LOCAL_VLM answered without a message in 'choices'.")
    finish = choice.get("finish_reason")
    stop_reason = _STOP_REASONS.get(finish if isinstance(finish, str) else "", "malformed_model_output")
    text = _REASONING.sub("", _text(message), count=1)
    if max_tokens is not None and len(text) > max_tokens * _CHARACTERS_PER_TOKEN:
        text, stop_reason = text[: max_tokens * _CHARACTERS_PER_TOKEN], "max_tokens"
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return VlmAnswer(text, stop_reason, _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens")))


def _text(message: dict[str, Any]) -> str:
    """Return the text of a message: its content, the texts of its parts, or the model's refusal; empty without any."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    text = content or message.get("refusal")
    # Half of a surrogate pair is valid JSON and no valid UTF-8.
    return text.encode(errors="replace").decode() if isinstance(text, str) else ""


def _tokens(count: object) -> int | None:
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MAXIMUM_TOKENS
    return count if is_count else None  # type: ignore[return-value]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
