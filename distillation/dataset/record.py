"""The rules of one record of bedrock-conversation-2024: fields, turns, texts and media.

Plain functions over parsed JSON: a pydantic model of the same takes longer (benchmarks/validate.py). A field that is
null counts as left out, as pydantic writes such fields and aws-samples' script accepts them.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from distillation.answers.reserved_words import find_reserved_words
from distillation.dataset.record_scan import Place, RecordScan, Source, shorten
from distillation.dataset.tools import check_tool_config, check_tool_result, check_tool_use
from distillation.models.catalog import Family

SCHEMA_VERSION = "bedrock-conversation-2024"
MEDIA = ("image", "video", "document")

_CHARACTERS_PER_TOKEN = 4
_RECORD_FIELDS = {"schemaVersion", "system", "toolConfig", "messages"}
_ROLES = ("user", "assistant")
_URI = re.compile(r"s3://([a-z0-9][-.a-z0-9]{1,61}[a-z0-9])/([A-Za-z0-9/_.-]+)")
_ACCOUNT = re.compile(r"[0-9]{12}")
_FORMAT_OF = {"jpg": "jpeg"} | {
    name: name for name in ("jpeg", "png", "gif", "webp", "mov", "mkv", "mp4", "webm", "pdf")
}


def check_record(record: Any, family: Family) -> RecordScan:
    """Check one record, whatever JSON it is."""
    seen = RecordScan(family)
    if not isinstance(record, dict):
        seen.report("json_syntax", f"must be a JSON object (got {shorten(record)})")
        return seen
    for name in record:
        if name not in _RECORD_FIELDS:
            seen.report("record_fields", f"unknown field; known: {', '.join(sorted(_RECORD_FIELDS))}", name)
    _check_schema_version(record.get("schemaVersion"), seen)
    _check_system(record.get("system"), seen)
    if record.get("toolConfig") is not None:
        check_tool_config(record["toolConfig"], seen)
    _check_messages(record.get("messages"), seen)
    if len(seen.media) > 1:
        _check_media_together(seen)
    check_length(seen)
    return seen


def check_text(text: str, seen: RecordScan) -> None:
    """Check a text that was read at the present place."""
    if found := find_reserved_words(text):
        seen.report("reserved_word", f"contains {', '.join(found)}, which Bedrock reserves", "text")
    if seen.role != "assistant" and (not text or text.isspace()):
        seen.report("blank_text", "is blank", "text")


def check_uri(uri: str, index: int, format: str, seen: RecordScan) -> None:
    """Check the URI of a medium that was read at the present place; ``index`` is its position in the content."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        rule, fact = _uri_fault(uri)
        seen.report(rule, fact, "source", "s3Location", "uri")
        return
    bucket, key = parts.groups()
    seen.sources[index] = Source(seen.place, format, bucket)
    extension = key.rpartition(".")[2].lower()
    if _FORMAT_OF.get(extension, format) != format:
        seen.report("extension", f"says {format!r} but the key ends in .{extension}", "format")


def check_length(seen: RecordScan) -> None:
    """Check that the texts of a record fit into what a model is trained on at once."""
    tokens = seen.family.record_tokens
    if sum(map(len, seen.content)) > _CHARACTERS_PER_TOKEN * tokens:
        seen.report("record_tokens", f"more than {tokens:,} tokens, at {_CHARACTERS_PER_TOKEN} characters each")


def role_at(place: Place) -> str:
    """Return whose text stands at a place: ``system``, ``user`` or ``assistant``."""
    match place:
        case ("messages", int(number), *_):
            return _ROLES[number % 2]
    return "system"


def _check_schema_version(version: Any, seen: RecordScan) -> None:
    if version is None:
        seen.missing.append("schema_version_missing")
    elif version != SCHEMA_VERSION:
        seen.report("schema_version", f"must be {SCHEMA_VERSION!r} (got {shorten(version)})", "schemaVersion")


def _check_system(system: Any, seen: RecordScan) -> None:
    if system is None or system == []:
        seen.missing.append("system_missing")
    elif not isinstance(system, list):
        seen.report("system", f"must be a list of {{text}} (got {shorten(system)})", "system")
    else:
        for index, block in enumerate(system):
            seen.place = ("system", index)
            if isinstance(block, dict) and len(block) == 1 and "text" in block:
                _check_text(block["text"], seen)
            else:
                seen.report("system", f"must be {{text}} (got {shorten(block)})")


def _check_messages(messages: Any, seen: RecordScan) -> None:
    seen.place = ("messages",)
    if not isinstance(messages, list) or len(messages) < 2:
        seen.report("messages", f"must be a list of at least two messages (got {shorten(messages)})")
        return
    for number, message in enumerate(messages):
        seen.question_length = len(seen.content)
        seen.place = ("messages", number)
        seen.role = _ROLES[number % 2]
        _check_message(number, message, seen)
    seen.place = ("messages",)
    if len(messages) % 2:
        seen.report("last_role", "the last message must be the assistant's")


def _check_message(number: int, message: Any, seen: RecordScan) -> None:
    if not isinstance(message, dict) or len(message) != 2 or "role" not in message or "content" not in message:
        seen.report("message_fields", f"must be {{role, content}} (got {shorten(message)})")
        return
    if message["role"] != seen.role:
        seen.report("role_order", f"must be {seen.role!r} (got {shorten(message['role'])})", "role")
    content = message["content"]
    if not isinstance(content, list) or not content:
        seen.report("content_list", f"must be a list of at least one block (got {shorten(content)})", "content")
        return
    kinds = set()
    for index, block in enumerate(content):
        seen.place = ("messages", number, "content", index)
        kinds.add(_check_block(block, seen))
    seen.place = ("messages", number, "content")
    if kinds == {"reasoningContent"}:
        seen.report("no_content", "holds nothing but reasoning")
    elif kinds == {"text"} and not any(block["text"] for block in content):
        seen.report("empty_text", "has no text")


def _check_block(block: Any, seen: RecordScan) -> str | None:
    """Check one block of a message; return its kind, or None for a block of no kind."""
    kind = _kind(block)
    if kind is None:
        seen.report("content_block", f"must hold exactly one of {', '.join(_CHECKS)} (got {shorten(block)})")
        return None
    _CHECKS[kind](block[kind], seen)
    return kind


def _kind(block: Any) -> str | None:
    if not isinstance(block, dict):
        return None
    kinds = [*block] if len(block) == 1 else [kind for kind, value in block.items() if value is not None]
    return kinds[0] if len(kinds) == 1 and kinds[0] in _CHECKS else None


def _check_text(text: Any, seen: RecordScan) -> None:
    if not isinstance(text, str):
        seen.report("text_type", f"must be text (got {shorten(text)})", "text")
        return
    seen.content.append(text)
    seen.places.append(seen.place)
    check_text(text, seen)


def _check_reasoning(reasoning: Any, seen: RecordScan) -> None:
    if seen.role == "user":
        seen.report("reasoning", "a user message holds no reasoning")
    if not seen.family.reasoning:
        seen.report("reasoning", f"{seen.family.name} is not tuned on reasoning")
    match reasoning:
        case {"reasoningText": {"text": str(text)}} if text:
            _check_text(text, seen)
        case _:
            seen.report("reasoning", f"must be {{reasoningText: {{text}}}} (got {shorten(reasoning)})")


def _check_media(kind: str, media: Any, seen: RecordScan) -> None:
    seen.media.append(kind)
    if seen.role == "assistant":
        seen.report("assistant_content", f"an assistant message holds no {kind}", kind)
    location = _location(media)
    if location is None:
        fact = f"must be {{format, source: {{s3Location: {{uri, bucketOwner}}}}}} (got {shorten(media)})"
        seen.report("media_shape", fact, kind)
        return
    format = media["format"].lower()
    formats = seen.family.formats[kind]
    if not formats:
        seen.report("media_unsupported", f"{seen.family.name} is not tuned on {kind}s", kind)
    elif format not in formats:
        fact = f"must be one of {', '.join(formats)} for {seen.family.name} (got {shorten(media['format'])})"
        seen.report("media_format", fact, kind, "format")
    seen.place = (*seen.place, kind)
    _check_owner(location.get("bucketOwner"), seen)
    seen.content.append(location["uri"])
    seen.places.append(seen.place)
    check_uri(location["uri"], len(seen.content) - 1, format, seen)


def _location(media: Any) -> dict[str, Any] | None:
    try:
        location = media["source"]["s3Location"]
        return location if isinstance(location["uri"], str) and isinstance(media["format"], str) else None
    except (KeyError, TypeError):
        return None


def _check_owner(owner: Any, seen: RecordScan) -> None:
    if owner is None:
        seen.missing.append("bucket_owner_missing")
    elif not isinstance(owner, str) or not _ACCOUNT.fullmatch(owner):
        fact = f"must be an account number of 12 digits (got {shorten(owner)})"
        seen.report("bucket_owner", fact, "source", "s3Location", "bucketOwner")


def _uri_fault(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://"):
        return "uri", f"must start with s3:// (got {shorten(uri)})"
    if not key or not _URI.fullmatch(f"s3://{bucket}/key"):
        return "uri", f"must be a bucket and a key (got {shorten(uri)})"
    return "uri_characters", f"key may hold only letters, digits and / _ . - (got {shorten(key)})"


def _check_media_together(seen: RecordScan) -> None:
    for kind in MEDIA:
        count = seen.media.count(kind)
        if count > seen.family.limits[kind]:
            seen.report("media_count", f"{count} {kind}s, at most {seen.family.limits[kind]} in a record")
    if "video" in seen.media and len(set(seen.media)) > 1:
        seen.report("media_mixed", "a video stands beside an image or document")


_CHECKS = {
    "text": _check_text,
    **{kind: partial(_check_media, kind) for kind in MEDIA},
    "reasoningContent": _check_reasoning,
    "toolUse": check_tool_use,
    "toolResult": check_tool_result,
}
