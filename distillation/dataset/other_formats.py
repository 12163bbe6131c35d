"""Recognise files and records of other tools, so that one error names the conversion."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from typing import Any

_FILE_FORMS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"\x1f\x8b",), "is compressed with gzip, which Bedrock does not read: decompress it"),
    ((b"PK\x03\x04",), "is a ZIP archive: extract it"),
    ((b"PAR1",), "is a Parquet file: write its rows as JSON Lines"),
    ((b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"), "is compressed: decompress it"),
    (
        (BOM_UTF16_LE, BOM_UTF16_BE, b"{\x00", b"\x00{", b"[\x00", b"\x00["),
        "is in UTF-16: save it as UTF-8 without a byte order mark",
    ),
    ((b"[",), "is a JSON array: write each of its elements as an object on its own line"),
)
"""First bytes of a file that is not JSON Lines, and what it is."""
_INDENTED_OBJECT = "has JSON over several lines: write each record on one line"

FOREIGN_RULES = {
    "openai_record": "write content as a list of {text} and {image: {format, source: {s3Location: {uri}}}}: replace "
    'image_url with an image in S3, type and text with {text}, and the system message with the field "system"',
    "anthropic_record": "write content as a list of {text} and {image: {format, source: {s3Location: {uri}}}}, without "
    "type: upload each base64 image to S3",
    "prompt_completion_record": "write messages: the prompt as {text} of a user message, the completion as {text} "
    "of an assistant message",
    "preference_record": "write messages with the chosen answer as the assistant's, and leave out the rejected one: "
    "supervised fine-tuning takes one answer",
    "sharegpt_record": "write messages: human or user as user, gpt or assistant as assistant, each value as {text} in "
    "content",
}
"""Remedies for records of other APIs, keyed by rule."""
_FIELDS: tuple[tuple[str, frozenset[str], str], ...] = (
    ("preference_record", frozenset({"chosen", "rejected"}), "a preference pair with chosen and rejected answers"),
    (
        "preference_record",
        frozenset({"preferred_output", "non_preferred_output"}),
        "a preference pair with preferred_output and non_preferred_output",
    ),
    ("prompt_completion_record", frozenset({"prompt", "completion"}), "a record with prompt and completion"),
    ("prompt_completion_record", frozenset({"prompt", "response"}), "a record with prompt and response"),
    ("prompt_completion_record", frozenset({"instruction", "output"}), "a record with instruction and output"),
    ("prompt_completion_record", frozenset({"input", "output"}), "a record with input and output"),
    ("prompt_completion_record", frozenset({"question", "answer"}), "a record with question and answer"),
    ("sharegpt_record", frozenset({"conversations"}), "a record with conversations, as in ShareGPT"),
)
"""Rule, fields and description of records that are recognised by their fields."""


def file_form(first_line: bytes) -> str | None:
    """Return what a file is, if its first line shows that it is not JSON Lines, and how to convert it."""
    stripped = first_line.removeprefix(BOM_UTF8).lstrip()
    for starts, description in _FILE_FORMS:
        if stripped.startswith(starts):
            return description
    return _INDENTED_OBJECT if stripped.rstrip() == b"{" else None


def foreign_record(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the rule and a description of a record of another API, or None."""
    messages = record.get("messages")
    for rule, fields, description in _FIELDS:
        if fields <= record.keys() and not isinstance(messages, list):
            return rule, f"is {description}"
    if not isinstance(messages, list) or not messages:
        return None
    if any(isinstance(message, dict) and "candidates" in message for message in messages):
        return "preference_record", "is a preference record with several candidates of one answer"
    contents = [message.get("content") for message in messages if isinstance(message, dict)]
    if all(isinstance(content, str) for content in contents):
        return ("openai_record", "is a record of the OpenAI API: content is a string") if contents else None
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    types = {block["type"] for block in blocks if isinstance(block, dict) and isinstance(block.get("type"), str)}
    if "image_url" in types or types & {"input_text", "input_image", "output_text"}:
        return "openai_record", f"is a record of the OpenAI API: content has blocks of type {', '.join(sorted(types))}"
    if types & {"image", "document"}:
        return "anthropic_record", "is a record of the Anthropic API: content has blocks with type and source"
    if "text" in types:
        return "openai_record", "is a record of the OpenAI API: content has blocks with type and text"
    return None
