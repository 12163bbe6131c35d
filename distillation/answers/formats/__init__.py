"""Answer formats: one module per format, and one entry in ``FORMATS``.

A prompt file names its format. All code that reads answers goes through ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from distillation.answers.formats import keywords
from distillation.answers.keyword_reader import write_keywords
from distillation.records import Limits


@dataclass(frozen=True)
class AnswerFormat:
    """Operations on the text of an answer."""

    items: Callable[[str], list[str]]
    """Return the distinct items of a text, normalised for comparison, in the order of the text."""
    items_as_written: Callable[[str], list[str]]
    """Return the distinct items of a text as written, without bullets and other marks of the list."""
    write_items: Callable[[Sequence[str]], str]
    """Return items as a text in this format."""
    rejection: Callable[[str], str | None]
    """Return why a text is not in this format, such as ``is not a list of keywords``, or None."""
    limit_rejection: Callable[[str, Limits], str | None]
    """Return why a text has too few or too many items, such as ``has 2 distinct keywords, not 3 to 4``, or None."""
    consensus: Callable[[Sequence[str], int, Limits | None], str]
    """Return a text of the items on which at least this many of the texts agree; empty if they agree on none.

    It has at most as many items as the limits allow, or all of them without limits.
    """


FORMATS: Mapping[str, AnswerFormat] = MappingProxyType(
    {
        "keywords": AnswerFormat(
            items=keywords.normalise,
            items_as_written=keywords.items_as_written,
            write_items=write_keywords,
            rejection=keywords.rejection,
            limit_rejection=keywords.limit_rejection,
            consensus=keywords.consensus,
        ),
    }
)
"""Formats keyed by the name that a prompt file gives."""
