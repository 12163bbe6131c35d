"""The rules of bedrock-conversation-2024 for image datasets: one validator for the pipeline, the
operator's command and the local Bedrock endpoint.

Rules: "Preparing data for fine-tuning understanding models" (Amazon Nova user guide), and the checks of
aws-samples' nova_ft_dataset_validator.py and of aws/nova-forge-sdk. Reserved words are looked for
case-sensitively, as documented, so that "Operating System:" is found and "chatbot:" is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lambdas.shared.errors import DatasetRejected
from lambdas.shared.families import Family
from lambdas.shared.reserved_words import reserved_words

SCHEMA_VERSION = "bedrock-conversation-2024"
MAXIMUM_REPORTED = 5
_CHARACTERS_PER_TOKEN = 4
_RECORD_FIELDS = {"schemaVersion", "system", "messages"}
_CONTENT_FIELDS = {"text", "image"}
_KEY = re.compile(r"[A-Za-z0-9/_.-]+")
_EXTENSIONS = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "gif": "gif", "webp": "webp"}


@dataclass(frozen=True)
class Problem:
    """Something that Bedrock refuses: the line (from 1; 0 for the whole dataset), field, and remedy."""

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else "dataset"
        return f"{place}, {self.field}: {self.message}"


def reject_invalid(name: str, train: Iterable[bytes], validation: Iterable[bytes], family: Family, bucket: str) -> None:
    """Raise ``DatasetRejected``, telling the first problems, unless a dataset can be trained on."""
    found = problems(train, family, bucket, validation)
    if found:
        shown = "; ".join(str(problem) for problem in found[:MAXIMUM_REPORTED])
        more = f" (and {len(found) - MAXIMUM_REPORTED} more)" if len(found) > MAXIMUM_REPORTED else ""
        raise DatasetRejected(f"{name}: {shown}{more}")


def problems(train: Iterable[bytes], family: Family, bucket: str, validation: Iterable[bytes] = ()) -> list[Problem]:
    """Return all that Bedrock would refuse in a dataset whose images must lie in ``bucket``."""
    found: list[Problem] = []
    modalities: set[str] = set()
    counts = {
        "train": _check_file(train, family, bucket, modalities, found),
        "validation": _check_file(validation, family, bucket, modalities, found),
    }
    found.extend(_dataset_problems(counts["train"], counts["validation"], modalities, family))
    return found


def _check_file(
    lines: Iterable[bytes],
    family: Family,
    bucket: str,
    modalities: set[str],
    found: list[Problem],
) -> int:
    number = 0
    for number, line in enumerate(lines, start=1):
        for field, message in _line_problems(line, family, bucket, modalities):
            found.append(Problem(number, field, message))
    return number


def _dataset_problems(train: int, validation: int, modalities: set[str], family: Family) -> Iterator[Problem]:
    if train < family.minimum_records:
        yield Problem(
            0,
            "records",
            f"{train} training records, {family.name} takes at least {family.minimum_records}; add images",
        )
    if train + validation > family.maximum_records:
        yield Problem(
            0,
            "records",
            f"{train + validation} records with validation, {family.name} takes at most "
            f"{family.maximum_records}; lower train_sizes",
        )
    if validation and not family.validation_file:
        yield Problem(0, "validation", f"{family.name} takes no validation file; leave it out")
    if len(modalities) > 1:
        yield Problem(0, "messages", "records with and without an image are mixed; keep one kind per dataset")


def _line_problems(line: bytes, family: Family, bucket: str, modalities: set[str]) -> Iterator[tuple[str, str]]:
    text = line.rstrip(b"\r\n")
    if not text.strip():
        yield "line", "empty; Bedrock refuses blank lines, remove it"
        return
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield "line", f"not JSON: {error}"
        return
    if not isinstance(record, dict):
        yield "line", "must be a JSON object"
        return
    yield from _record_problems(record, family, bucket)
    modalities.add("image" if b'"image"' in text else "text")
    if len(text) / _CHARACTERS_PER_TOKEN > family.record_tokens:
        yield "line", f"longer than the {family.record_tokens:,} tokens of a record"


def _record_problems(record: dict[str, Any], family: Family, bucket: str) -> Iterator[tuple[str, str]]:
    for unknown in sorted(record.keys() - _RECORD_FIELDS):
        yield unknown, f"unknown field; known: {', '.join(sorted(_RECORD_FIELDS))}"
    if record.get("schemaVersion") != SCHEMA_VERSION:
        yield "schemaVersion", f"must be {SCHEMA_VERSION!r} (got {record.get('schemaVersion')!r})"
    yield from _system_problems(record.get("system", []))
    yield from _messages_problems(record.get("messages"), family, bucket)


def _system_problems(system: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(system, list):
        yield "system", "must be a list of {text}"
        return
    for index, block in enumerate(system):
        field = f"system.{index}"
        if not isinstance(block, dict) or set(block) != {"text"}:
            yield field, "must be {text}"
        else:
            yield from _text_problems(f"{field}.text", block["text"])


def _messages_problems(messages: Any, family: Family, bucket: str) -> Iterator[tuple[str, str]]:
    if not isinstance(messages, list) or len(messages) < 2:
        yield "messages", "must be a list of at least a user and an assistant message"
        return
    for index, message in enumerate(messages):
        yield from _message_problems(f"messages.{index}", message, index, family, bucket)
    if len(messages) % 2:
        yield "messages", "the last message must be the assistant's"


def _message_problems(field: str, message: Any, index: int, family: Family, bucket: str) -> Iterator[tuple[str, str]]:
    if not isinstance(message, dict) or set(message) != {"role", "content"}:
        yield field, "must be {role, content}"
        return
    role = "assistant" if index % 2 else "user"
    if message["role"] != role:
        yield (
            f"{field}.role",
            f"must be {role!r}: roles alternate, user first (got {message['role']!r})",
        )
    content = message["content"]
    if not isinstance(content, list) or not content:
        yield f"{field}.content", "must be a list of at least one block"
        return
    for number, block in enumerate(content):
        yield from _block_problems(f"{field}.content.{number}", block, role, family, bucket)
    images = sum(isinstance(block, dict) and "image" in block for block in content)
    if images > family.maximum_images:
        yield f"{field}.content", f"{images} images, at most {family.maximum_images}"
    texts = [block["text"] for block in content if isinstance(block, dict) and "text" in block]
    if not images and not any(isinstance(text, str) and text.strip() for text in texts):
        yield f"{field}.content", "has no text"


def _block_problems(field: str, block: Any, role: str, family: Family, bucket: str) -> Iterator[tuple[str, str]]:
    if not isinstance(block, dict) or len(block) != 1 or not block.keys() <= _CONTENT_FIELDS:
        yield field, "must be {text} or {image}"
    elif "text" in block:
        yield from _text_problems(f"{field}.text", block["text"])
    elif role == "assistant":
        yield f"{field}.image", "an assistant message holds text only"
    else:
        yield from _image_problems(f"{field}.image", block["image"], family, bucket)


def _text_problems(field: str, text: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(text, str):
        yield field, "must be text"
    elif found := reserved_words(text):
        yield field, f"contains {', '.join(found)}, which Bedrock reserves; say it in other words"


def _image_problems(field: str, image: Any, family: Family, bucket: str) -> Iterator[tuple[str, str]]:
    location = _location(image)
    if location is None:
        yield field, "must be {format, source: {s3Location: {uri, bucketOwner}}}"
        return
    if image["format"] not in family.image_formats:
        yield f"{field}.format", f"must be one of {', '.join(family.image_formats)}"
    owner = location.get("bucketOwner")
    if owner is not None and not (isinstance(owner, str) and re.fullmatch(r"\d{12}", owner)):
        yield f"{field}.source.s3Location.bucketOwner", "must be an account number of 12 digits"
    uri_field = f"{field}.source.s3Location.uri"
    uri = location["uri"]
    if not isinstance(uri, str) or not uri.startswith("s3://"):
        yield uri_field, f"must start with s3:// (got {uri!r})"
        return
    found_bucket, _, key = uri.removeprefix("s3://").partition("/")
    if found_bucket != bucket:
        yield uri_field, f"must be in the dataset's bucket {bucket!r} (got {found_bucket!r})"
    if not _KEY.fullmatch(key):
        yield uri_field, f"key may hold only letters, digits and / _ . - (got {key!r})"
        return
    extension = key.rsplit(".", 1)[-1].lower()
    if _EXTENSIONS.get(extension, image["format"]) != image["format"]:
        yield f"{field}.format", f"says {image['format']!r} but the key ends in .{extension}"


def _location(image: Any) -> dict[str, Any] | None:
    match image:
        case {"format": str(), "source": {"s3Location": {"uri": _} as location}}:
            return location
    return None
