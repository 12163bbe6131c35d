"""Text that a person reads or opens: without invisible characters, and without formulas in tables.

Labels, tables, notifications, pages and the output of commands pass through this module. Files for programs (JSON and
JSON Lines) keep every character, except in keywords.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

_LINE_BREAK = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters other than tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u200b\u2060-\u2064\u206a-\u206f\ufeff"  # zero-width space, word joiner, byte order mark and others without width
    "\u00ad\u180e\ufff9-\ufffb\U0001d173-\U0001d17a"  # soft hyphen, and controls of Mongolian, notes and music
    "\U000e0001\U000e0020-\U000e007f"  # tags, which can spell a whole hidden text
    "\ud800-\udfff"  # unpaired surrogates, which UTF-8 cannot encode
)
_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
"""Emoji of a region's flag, such as England's: a black flag, tags and the closing tag."""
_FLAG_OR_INVISIBLE = re.compile(f"({_FLAG})|[{_INVISIBLE}]")
_JOINER = re.compile("[\u200c\u200d]")
_ESCAPED_IN_JSON = re.compile(f"[\u200c\u200d\u2028\u2029{_INVISIBLE}]")

_FORMULA = "[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""First characters that make a spreadsheet read a cell as a formula; the last four are the full-width forms.

Source: "CSV Injection", OWASP.
"""
_MARK = "'"
_CELL_START = "(?:\\A|(?<=;))"
"""Start of a cell. Spreadsheets in many locales, and LibreOffice by default, also divide a line at semicolons."""
_NEEDS_MARK = re.compile(f"{_CELL_START}(?=[ {_MARK}]*{_FORMULA})")
_HAS_MARK = re.compile(f"{_CELL_START}{_MARK}(?=[ {_MARK}]*{_FORMULA})")


def clean(text: str) -> str:
    """Return ``text`` without control, bidirectional and zero-width characters; all line breaks become line feeds.

    Tabs stay, and so do the tags in the emoji of a region's flag. The joiners U+200C and U+200D stay between two
    letters (Persian, Hindi) and between two emoji (family), also if marks follow these.
    """
    text = _FLAG_OR_INVISIBLE.sub(lambda match: match[1] or "", _LINE_BREAK.sub("\n", text))
    return _JOINER.sub(lambda match: match[0] if _joins(text, match.start()) else "", text)


def clean_line(text: str) -> str:
    """Return ``text`` cleaned, on one line: each run of tabs and line breaks becomes a space."""
    return re.sub("[\t\n]+", " ", clean(text))


def escape_json(document: str) -> str:
    """Return a JSON document in which the characters that ``clean`` could remove are escaped, which keeps its value."""
    return _ESCAPED_IN_JSON.sub(lambda match: json.dumps(match[0])[1:-1], document)


def csv_table(rows: Iterable[Iterable[Any]]) -> bytes:
    """Return rows as a CSV file for people, in UTF-8: texts are cleaned, and none is a formula."""
    text = io.StringIO()
    csv.writer(text).writerows(
        [mark_formula(clean_line(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return text.getvalue().encode()


def mark_formula(cell: str) -> str:
    """Return a cell of a table with an apostrophe in front if a spreadsheet would read it as a formula.

    The same applies to each part after a semicolon. A part that already has apostrophes before such a character gets
    one more, so that ``unmark_formula`` is exact.
    """
    return _NEEDS_MARK.sub(_MARK, cell)


def unmark_formula(cell: str) -> str:
    """Return a cell as it was before ``mark_formula``."""
    return _HAS_MARK.sub("", cell)


def _joins(text: str, position: int) -> bool:
    """Return whether the joiner at ``position`` is between two letters or two emoji."""
    before = _first_base(text[index] for index in range(position - 1, -1, -1))
    after = _first_base(text[index] for index in range(position + 1, len(text)))
    return before == after != ""


def _first_base(characters: Iterator[str]) -> str:
    """Return the kind of the first character that is not a mark or a skin tone: ``letter``, ``emoji`` or empty."""
    for character in characters:
        category = unicodedata.category(character)
        if category[0] == "M" or "\U0001f3fb" <= character <= "\U0001f3ff":
            continue
        if category[0] == "L":
            return "letter"
        # U+2194, in the emoji of a shaking head, is the only one that Unicode lists as a mathematical symbol.
        return "emoji" if category == "So" or character == "\u2194" else ""
    return ""
