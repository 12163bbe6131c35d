"""Checks that all kinds of blocks of a record share: texts, unknown fields and nulls."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from distillation.answers.reserved_words import find_reserved_words, find_reserved_words_in_other_case
from distillation.dataset.record_scan import RecordScan


def add_text(text: str, scan: RecordScan) -> None:
    """Add a text at the current path to the scan, and check it."""
    scan.content.append(text)
    if reserved_words := find_reserved_words(text):
        scan.report("reserved_word", f"contains {', '.join(reserved_words)}, which Bedrock reserves", "text")
    if other_case := find_reserved_words_in_other_case(text):
        scan.tolerate("reserved_word_case", f"contains {', '.join(other_case)}", "text")
    if scan.role != "assistant" and (not text or text.isspace()):
        scan.report("blank_text", "is blank", "text")


def check_fields(value: Mapping[str, Any], known: Collection[str], scan: RecordScan, *inner: str | int) -> None:
    """Check the names of an object at the current path, or at a path inside it. AWS's validators ignore other names."""
    for name, member in value.items():
        if name not in known:
            scan.tolerate("unknown_field", f"unknown field (known: {', '.join(known)})", *inner, name)
        elif member is None:
            scan.tolerate("null_field", "is null, which counts as omitted", *inner, name)
