"""Answers read for scoring: normalised with plurals folded, and as written beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from pluralizer import Pluralizer

from distillation.answers.formats import FORMATS
from distillation.records import AnswerLine


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer. ``valid``: it counted, complete and in the format that was asked for."""

    keywords: frozenset[str]
    written: frozenset[str]
    valid: bool


def read(line: AnswerLine | None) -> Reading:
    """Read an answer; one that is missing says nothing, a refused one what it said."""
    if line is None:
        return Reading(frozenset(), frozenset(), valid=False)
    text = line.text or ""
    form = FORMATS[line.format]
    folded = frozenset(map(folded_plural, form.items(text)))
    return Reading(folded, frozenset(form.written(text)), line.status == "ok" and bool(folded))


def read_all(lines: Mapping[str, AnswerLine]) -> dict[str, Reading]:
    """Read answers by image."""
    return {image: read(line) for image, line in lines.items()}


@lru_cache(maxsize=100_000)
def folded_plural(keyword: str) -> str:
    """Return a keyword with its last word in the singular: ``red cars`` and ``red car`` are one."""
    return _pluralizer().singular(keyword)


@cache
def _pluralizer() -> Pluralizer:
    return Pluralizer()
