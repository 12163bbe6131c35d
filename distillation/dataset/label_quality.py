"""Detect labels that Bedrock accepts but that a student should not learn, from their text alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from distillation.answers.refusals import find_refusal

_decode = msgspec.json.Decoder(msgspec.Raw).decode
LabelForm = Literal["list", "prose", "object", ""]

_UNFINISHED_ENDINGS = set(",;:([{/&+–—-…、，；")
_UNFINISHED_LAST_WORDS = {"and", "or", "the", "a", "an", "of", "with", "in", "on", "to", "for", "from"}
_PLACEHOLDERS = {"", "n/a", "na", "nan", "null", "nil", "undefined", "tbd", "todo"}
_MARKS = "-–—.,;:!?*_#'\"() "
_MAXIMUM_PLACEHOLDER_CHARACTERS = 20
_WIDE_SEPARATORS = "、，；"
_REFUSAL_START_CHARACTERS = 40
_MINIMUM_PROSE_WORDS = 8
_MAXIMUM_WORDS_PER_ENTRY = 4
_MAXIMUM_NAMED_CHARACTERS = 100


def label_form(label: str) -> LabelForm:
    """Return the form of a label: ``object`` of JSON, ``list`` of short entries, ``prose``, or ``""`` for another."""
    if label[:1] == "{" and label[-1:] == "}":
        return "object"
    entries = 1 + label.count(",") + label.count(";") + label.count("\n")
    if not label.isascii():
        entries += sum(map(label.count, _WIDE_SEPARATORS))
    spaces = label.count(" ")
    if entries > 2 and spaces < _MAXIMUM_WORDS_PER_ENTRY * entries:
        return "list"
    return "prose" if spaces >= _MINIMUM_PROSE_WORDS - 1 and label[:1] not in ("{", "[") else ""


def label_problem(label: str, form: LabelForm, question: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return the rule that a label breaks and a description, or None if the label can be learned.

    An answer that the texts of the question name, such as one of their classes, is no placeholder and not cut off.
    """
    text = label.strip()
    is_short = len(text) < _MAXIMUM_PLACEHOLDER_CHARACTERS
    if is_short and text.strip(_MARKS).lower() in _PLACEHOLDERS and not _is_named(text, question):
        return "blank_label", f"is blank or a placeholder ({text!r})"
    # The search is the slowest check. A list without an "I" near its start is not a refusal.
    may_refuse = form != "list" or "I" in text[:_REFUSAL_START_CHARACTERS]
    if may_refuse and (refusal := find_refusal(text)):
        return "refused_label", f"is a refusal ({refusal!r})"
    if _is_cut_off(text) and not _is_named(text, question):
        return "cut_off_label", f"seems cut off ({text[-30:]!r})"
    return None


def _is_named(label: str, question: Iterable[str]) -> bool:
    """Return whether a text of the question, which also has URIs, contains the label as a whole term."""
    if len(label) > _MAXIMUM_NAMED_CHARACTERS or not any(map(str.isalnum, label)):
        return False
    named = re.compile(rf"(?<!\w){re.escape(label)}(?!\w)")
    return any(named.search(text) for text in question if not text.startswith("s3://"))


def _is_cut_off(text: str) -> bool:
    if text[-1:] in _UNFINISHED_ENDINGS or text[-3:] == "...":
        return True
    space = text.rfind(" ")
    if space > 0 and text[space + 1 :].lower() in _UNFINISHED_LAST_WORDS:
        return True
    if text[0] in "{[":
        return not _is_json(text)
    return "(" in text and text.count("(") > text.count(")")


def _is_json(text: str) -> bool:
    try:
        _decode(text)
    except (ValueError, RecursionError):
        return _is_json_of_python(text)
    return True


def _is_json_of_python(text: str) -> bool:
    """Return whether ``json`` accepts a text, such as one with NaN, which msgspec refuses."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
