"""Fast path for ordinary records: texts and images in known fields, without any finding.

``msgspec`` decodes such a line into typed objects in less time than ``json.loads`` takes. The decoded values pass the
same checks as in ``record_checks``. Records of any other form, or with a finding, are left to the full checks.
"""

from __future__ import annotations

from typing import Literal, TypeGuard

import msgspec
from msgspec import UNSET, UnsetType

from distillation.answers.reserved_words import may_be_reserved
from distillation.dataset.record_checks import ROLES, add_medium, check_totals
from distillation.dataset.record_scan import RecordScan
from distillation.models.model import Family


class _Object(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A JSON object without unknown fields and without nulls."""


class _Text(_Object):
    text: str


class _Location(_Object):
    uri: str
    bucketOwner: str | UnsetType = UNSET  # noqa: N815 - Bedrock's name


class _Source(_Object):
    s3Location: _Location  # noqa: N815 - Bedrock's name


class _Image(_Object):
    format: str
    source: _Source


class _Block(_Object):
    text: str | UnsetType = UNSET
    image: _Image | UnsetType = UNSET


class _Message(_Object):
    role: Literal["user", "assistant"]
    content: list[_Block]


class _Record(_Object):
    messages: list[_Message]
    schemaVersion: Literal["bedrock-conversation-2024"] | UnsetType = UNSET  # noqa: N815 - Bedrock's name
    system: list[_Text] | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Record).decode


def scan_ordinary_record(line: bytes, family: Family) -> RecordScan | None:
    """Return the scan of an ordinary record, or None if the line needs the full checks."""
    try:
        record = _decode(line)
    except ValueError:  # The base class of msgspec's errors and of UnicodeDecodeError.
        return None
    scan = RecordScan(family)
    if record.schemaVersion is UNSET:
        scan.missing.append("schema_version_missing")
    if not record.system:
        scan.missing.append("system_missing")
    else:
        for block in record.system:
            if not _is_ordinary(block.text):
                return None
            scan.content.append(block.text)
    if not _add_messages(record.messages, scan):
        return None
    check_totals(scan)
    return None if scan.findings else scan


def _is_ordinary(text: str | UnsetType) -> TypeGuard[str]:
    """Return whether there is a text that is not blank and has no reserved word."""
    return bool(text) and not text.isspace() and not may_be_reserved(text)


def _add_messages(messages: list[_Message], scan: RecordScan) -> bool:
    """Add the messages to the scan; return False at the first that is not ordinary."""
    if not messages or len(messages) % 2:
        return False
    content = scan.content
    for number, message in enumerate(messages):
        role = scan.role = ROLES[number % 2]
        scan.answer_start = len(content)
        if message.role != role or not message.content:
            return False
        for index, block in enumerate(message.content):
            text, image = block.text, block.image
            if image is UNSET:
                if not _is_ordinary(text):
                    return False
                content.append(text)
            elif text is UNSET and role == "user":
                scan.path = ("messages", number, "content", index, "image")
                location = image.source.s3Location
                owner = None if location.bucketOwner is UNSET else location.bucketOwner
                add_medium("image", image.format, location.uri, owner, scan)
            else:
                return False
    scan.path = ("messages",)
    return True
