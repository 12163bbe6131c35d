"""Labels that Bedrock takes and a student should not learn from, told by their text alone."""

from __future__ import annotations

import json

from distillation.answers.refusals import find_refusal

_OPEN_ENDS = set(",;:([{/&+–—-…、，；")
_OPEN_WORDS = {"and", "or", "the", "a", "an", "of", "with", "in", "on", "to", "for", "from"}
_NOTHING = {"", "n/a", "na", "nan", "null", "nil", "undefined", "tbd", "todo"}
_SEPARATORS = ",;\n"
_WIDE_SEPARATORS = "、，；"
_LONGEST_NOTHING = 20
_BEGINNING = 40
_PROSE_WORDS = 8
_WORDS_OF_AN_ENTRY = 4


def label_form(label: str) -> str:
    """Tell a ``list`` of short entries, ``prose`` (many words, no JSON), or neither (``""``)."""
    separators = _SEPARATORS if label.isascii() else _SEPARATORS + _WIDE_SEPARATORS
    entries = 1 + sum(map(label.count, separators))
    spaces = label.count(" ")
    if entries > 2 and spaces < _WORDS_OF_AN_ENTRY * entries:
        return "list"
    return "prose" if spaces >= _PROSE_WORDS - 1 and label[:1] not in ("{", "[") else ""


def label_problem(label: str, form: str) -> tuple[str, str] | None:
    """Return the rule that a label of a form breaks by itself, and what is so; None for one that may be learnt from."""
    text = label.strip()
    if len(text) < _LONGEST_NOTHING and text.strip("-–—.,;:!?*_#'\"() ").lower() in _NOTHING:
        return "blank_label", f"says nothing ({text!r})"
    # The search takes longer than all else; a list that does not begin with an I is none.
    if (form != "list" or "I" in text[:_BEGINNING]) and (found := find_refusal(text)):
        return "refused_label", f"is a refusal ({found!r})"
    if _is_cut_off(text):
        return "cut_off_label", f"seems cut off ({text[-30:]!r})"
    return None


def _is_cut_off(text: str) -> bool:
    if text[-1:] in _OPEN_ENDS or text[-3:] == "..." or text.rpartition(" ")[2].lower() in _OPEN_WORDS:
        return True
    if text[0] in "{[":
        return not _is_json(text)
    return "(" in text and text.count("(") > text.count(")")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
