"""The forms in which an answer can be asked for: a file each, and a row in ``FORMATS``.

A prompt's file names its format; all that reads answers asks the format, and knows no other rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from distillation.answers.formats import keywords
from distillation.records import Limits


@dataclass(frozen=True)
class AnswerFormat:
    """What can be done with the text of an answer."""

    items: Callable[[str], list[str]]
    """What is compared: the distinct items, normalised, in the answer's order."""
    split: Callable[[str], list[str]]
    """The distinct items as they were written."""
    rejection: Callable[[str, Limits], str | None]
    """Why a text is not in this format, as ``is no list``, or None."""
    consensus: Callable[[Sequence[str], int, Limits], str]
    """One text of several: what at least so many of them say; empty where that is nothing."""


FORMATS: Mapping[str, AnswerFormat] = MappingProxyType(
    {
        "keywords": AnswerFormat(keywords.normalise, keywords.split, keywords.rejection, keywords.consensus),
    }
)
