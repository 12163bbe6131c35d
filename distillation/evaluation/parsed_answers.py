"""Answers read for scoring: normalised with plurals folded, and as written beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from pluralizer import Pluralizer

from distillation.answers.formats import FORMATS
from distillation.records import AnswerLine


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """One answer. ``valid``: it counted, complete and in the format that was asked for."""

    keywords: frozenset[str]
    unnormalised: frozenset[str]
    valid: bool


def parse_answer(line: AnswerLine | None) -> ParsedAnswer:
    """Read an answer; one that is missing says nothing, a refused one what it said."""
    if line is None:
        return ParsedAnswer(frozenset(), frozenset(), valid=False)
    text = line.text or ""
    form = FORMATS[line.format]
    folded = frozenset(map(singular, form.items(text)))
    return ParsedAnswer(folded, frozenset(form.split(text)), line.status == "ok" and bool(folded))


def parse_answers(lines: Mapping[str, AnswerLine]) -> dict[str, ParsedAnswer]:
    """Read answers by image."""
    return {image: parse_answer(line) for image, line in lines.items()}


@lru_cache(maxsize=100_000)
def singular(keyword: str) -> str:
    """Return a keyword with its last word in the singular: ``red cars`` and ``red car`` are one."""
    return _pluralizer().singular(keyword)


@cache
def _pluralizer() -> Pluralizer:
    return Pluralizer()
