"""Checks of one parsed record of bedrock-conversation-2024: fields, roles, texts and media.

Plain functions, because a pydantic model is slower (benchmarks/validate.py). A field that is null counts as omitted,
with a warning: pydantic writes such fields and AWS's validators accept them.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from distillation.dataset.field_checks import add_text, check_fields
from distillation.dataset.other_formats import foreign_record
from distillation.dataset.record_scan import RecordScan, shorten
from distillation.dataset.tool_checks import check_tool_config, check_tool_result, check_tool_use
from distillation.models.model import Family

_SCHEMA_VERSION = "bedrock-conversation-2024"
_MEDIA_KINDS = ("image", "video", "document")

ROLES = ("user", "assistant")
"""Roles of the messages, alternating from the first."""

_CHARACTERS_PER_TOKEN = 4
_RECORD_FIELDS = {"schemaVersion", "system", "toolConfig", "messages"}
_URI = re.compile(r"s3://([a-z0-9][-.a-z0-9]{1,61}[a-z0-9])/([A-Za-z0-9/_.-]+)")
_FORMAT_OF_EXTENSION = {"jpg": "jpeg"} | {
    name: name for name in ("jpeg", "png", "gif", "webp", "mov", "mkv", "mp4", "webm", "pdf")
}

_JPEG_EXTENSIONS = (".jpg", ".jpeg")


def check_record(record: Any, family: Family) -> RecordScan:
    """Return the scan of a parsed JSON value, which may not be a record at all."""
    scan = RecordScan(family)
    if not isinstance(record, dict):
        scan.report("json_syntax", f"must be a JSON object (got {shorten(record)})")
        return scan
    if foreign := foreign_record(record):
        scan.report(*foreign)
        return scan
    for name, value in record.items():
        if name not in _RECORD_FIELDS:
            scan.report("record_fields", f"unknown field (allowed: {', '.join(sorted(_RECORD_FIELDS))})", name)
        elif value is None:
            check_fields({name: value}, _RECORD_FIELDS, scan)
    _check_schema_version(record.get("schemaVersion"), scan)
    _check_system(record.get("system"), scan)
    if record.get("toolConfig") is not None:
        check_tool_config(record["toolConfig"], scan)
    _check_messages(record.get("messages"), scan)
    check_totals(scan)
    return scan


def add_medium(kind: str, format: str, uri: str, owner: Any, scan: RecordScan) -> None:
    """Add an image, video or document to the scan, and check it. The current path is that of the medium.

    ``owner`` is the value of ``bucketOwner``, None if omitted.
    """
    scan.media[kind] = scan.media.get(kind, 0) + 1
    lower_format = format
    if format not in scan.family.formats[kind]:
        lower_format = format.lower()
        _check_format(kind, format, lower_format, scan)
    if owner is None:
        scan.missing.append("bucket_owner_missing")
    elif not (isinstance(owner, str) and len(owner) == 12 and owner.isascii() and owner.isdigit()):
        description = f"must be an account number of 12 digits (got {shorten(owner)})"
        scan.report("bucket_owner", description, "source", "s3Location", "bucketOwner")
    scan.content.append(uri)
    match = _URI.fullmatch(uri)
    if match is None:
        rule, description = _uri_problem(uri)
        scan.report(rule, description, "source", "s3Location", "uri")
        return
    scan.sources.append((scan.path, match[1]))
    if lower_format == "jpeg" and uri.endswith(_JPEG_EXTENSIONS):
        return  # The usual case, without taking the key apart.
    extension = match[2].rpartition(".")[2].lower()
    if _FORMAT_OF_EXTENSION.get(extension, lower_format) != lower_format:
        scan.tolerate("extension", f"is {shorten(format)} but the key ends in .{extension}", "format")


def _check_format(kind: str, format: str, lower_format: str, scan: RecordScan) -> None:
    """Check a format that is not one of the family's in lower case."""
    allowed_formats = scan.family.formats[kind]
    if not allowed_formats:
        scan.report("media_unsupported", f"{scan.family.name} does not support {kind}s in training data")
    elif lower_format in allowed_formats:
        scan.tolerate("media_format_case", f"is {shorten(format)}, which Converse refuses", "format")
    else:
        description = f"must be one of {', '.join(allowed_formats)} for {scan.family.name} (got {shorten(format)})"
        scan.report("media_format", description, "format")


def check_totals(scan: RecordScan) -> None:
    """Check the number of media and the length of all texts of a record."""
    for kind, count in scan.media.items():
        limit = scan.family.limits[kind]
        if count > limit:
            scan.report("media_count", f"{count} {kind}s, but a record may contain at most {limit}")
    if len(scan.media) > 1 and "video" in scan.media:
        scan.report("media_mixed", "a video cannot be combined with an image or document")
    tokens = scan.family.record_tokens
    if sum(map(len, scan.content)) > _CHARACTERS_PER_TOKEN * tokens:
        description = f"more than {tokens:,} tokens (estimated at {_CHARACTERS_PER_TOKEN} characters per token)"
        scan.report("record_tokens", description)


def _check_schema_version(version: Any, scan: RecordScan) -> None:
    if version is None:
        scan.missing.append("schema_version_missing")
    elif version != _SCHEMA_VERSION:
        scan.report("schema_version", f"must be {_SCHEMA_VERSION!r} (got {shorten(version)})", "schemaVersion")


def _check_system(system: Any, scan: RecordScan) -> None:
    if system is None or system == []:
        scan.missing.append("system_missing")
    elif not isinstance(system, list):
        scan.report("system", f"must be a list of {{text}} (got {shorten(system)})", "system")
    else:
        for index, block in enumerate(system):
            scan.path = ("system", index)
            if isinstance(block, dict) and "text" in block:
                check_fields(block, ("text",), scan)
                _check_text(block["text"], scan)
            else:
                scan.report("system", f"must be {{text}} (got {shorten(block)})")


def _check_messages(messages: Any, scan: RecordScan) -> None:
    scan.path = ("messages",)
    if not isinstance(messages, list) or len(messages) < 2:
        scan.report("messages", f"must be a list of at least two messages (got {shorten(messages)})")
        return
    for number, message in enumerate(messages):
        scan.answer_start = len(scan.content)
        scan.path = ("messages", number)
        scan.role = ROLES[number % 2]
        _check_message(number, message, scan)
    scan.path = ("messages",)
    if len(messages) % 2:
        scan.report("last_role", "the last message must be the assistant's")


def _check_message(number: int, message: Any, scan: RecordScan) -> None:
    if not isinstance(message, dict) or len(message) != 2 or "role" not in message or "content" not in message:
        scan.report("message_fields", f"must be {{role, content}} (got {shorten(message)})")
        return
    if message["role"] != scan.role:
        scan.report("role_order", f"must be {scan.role!r} (got {shorten(message['role'])})", "role")
    content = message["content"]
    if not isinstance(content, list) or not content:
        scan.report("content_list", f"must be a list of at least one block (got {shorten(content)})", "content")
        return
    kinds = set()
    for index, block in enumerate(content):
        scan.path = ("messages", number, "content", index)
        kinds.add(_check_block(block, scan))
    scan.path = ("messages", number, "content")
    if kinds == {"reasoningContent"}:
        scan.report("no_content", "contains only reasoning")
    elif kinds == {"text"} and not any(block["text"] for block in content):
        scan.report("empty_text", "has no text")


def _check_text(text: Any, scan: RecordScan) -> None:
    if not isinstance(text, str):
        scan.report("text_type", f"must be text (got {shorten(text)})", "text")
        return
    add_text(text, scan)


def _check_reasoning(reasoning: Any, scan: RecordScan) -> None:
    if scan.role == "user":
        scan.report("reasoning", "reasoning is not allowed in a user message")
    if not scan.family.reasoning:
        scan.report("reasoning", f"{scan.family.name} does not support reasoning in training data")
    match reasoning:
        case {"reasoningText": {"text": str(text)}} if text:
            check_fields(reasoning, ("reasoningText",), scan, "reasoningContent")
            check_fields(reasoning["reasoningText"], ("text",), scan, "reasoningContent", "reasoningText")
            _check_text(text, scan)
        case _:
            scan.report("reasoning", f"must be {{reasoningText: {{text}}}} (got {shorten(reasoning)})")


def _check_media(kind: str, media: Any, scan: RecordScan) -> None:
    if scan.role == "assistant":
        scan.report("assistant_content", f"{kind} is not allowed in an assistant message", kind)
    location = _s3_location(media)
    if location is None:
        scan.media[kind] = scan.media.get(kind, 0) + 1
        description = f"must be {{format, source: {{s3Location: {{uri, bucketOwner}}}}}} (got {shorten(media)})"
        scan.report("media_shape", description, kind)
        return
    check_fields(media, ("format", "source"), scan, kind)
    check_fields(media["source"], ("s3Location",), scan, kind, "source")
    check_fields(location, ("uri", "bucketOwner"), scan, kind, "source", "s3Location")
    scan.path = (*scan.path, kind)
    add_medium(kind, media["format"], location["uri"], location.get("bucketOwner"), scan)


def _s3_location(media: Any) -> dict[str, Any] | None:
    try:
        location = media["source"]["s3Location"]
        return location if isinstance(location["uri"], str) and isinstance(media["format"], str) else None
    except (KeyError, TypeError):
        return None


def _uri_problem(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://"):
        return "uri", f"must start with s3:// (got {shorten(uri)})"
    if not key or not _URI.fullmatch(f"s3://{bucket}/key"):
        return "uri", f"must be a bucket and a key (got {shorten(uri)})"
    return "uri_characters", f"key may contain only letters, digits and / _ . - (got {shorten(key)})"


_BLOCK_CHECKS = {
    "text": _check_text,
    **{kind: partial(_check_media, kind) for kind in _MEDIA_KINDS},
    "reasoningContent": _check_reasoning,
    "toolUse": check_tool_use,
    "toolResult": check_tool_result,
}


def _check_block(block: Any, scan: RecordScan) -> str | None:
    """Check one block of a message and return its kind, or None if the kind is unknown."""
    kind = _kind(block)
    if kind is None:
        scan.report("content_block", f"must contain exactly one of {', '.join(_BLOCK_CHECKS)} (got {shorten(block)})")
        return None
    check_fields(block, _BLOCK_CHECKS, scan)
    _BLOCK_CHECKS[kind](block[kind], scan)
    return kind


def _kind(block: Any) -> str | None:
    if not isinstance(block, dict):
        return None
    kinds = [kind for kind in block if kind in _BLOCK_CHECKS and (len(block) == 1 or block[kind] is not None)]
    return kinds[0] if len(kinds) == 1 else None
