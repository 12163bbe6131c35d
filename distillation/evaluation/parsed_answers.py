"""Answers parsed for scoring: keywords with and without normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from pluralizer import Pluralizer

from distillation.answers.formats import FORMATS
from distillation.records import AnswerLine


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """Keywords of one answer."""

    keywords: frozenset[str]
    """Normalised keywords, with the last word in the singular."""
    unnormalised: frozenset[str]
    """Keywords without normalisation."""
    valid: bool
    """Whether the answer is usable: complete, no refusal, and a list of at least one keyword."""


def parse_answer(line: AnswerLine | None) -> ParsedAnswer:
    """Return the keywords of an answer. One that is missing or not valid has none, so that it scores 0."""
    if line is None or line.status != "ok":
        return ParsedAnswer(frozenset(), frozenset(), valid=False)
    text = line.text or ""
    answer_format = FORMATS[line.format]
    keywords = frozenset(map(singular, answer_format.items(text)))
    return ParsedAnswer(keywords, frozenset(answer_format.items_as_written(text)), valid=bool(keywords))


def parse_answers(lines: Mapping[str, AnswerLine]) -> dict[str, ParsedAnswer]:
    """Return the keywords of answers by image."""
    return {image: parse_answer(line) for image, line in lines.items()}


@lru_cache(maxsize=100_000)
def singular(keyword: str) -> str:
    """Return a keyword with its last word in the singular, such as ``red car`` for ``red cars``."""
    return _pluralizer().singular(keyword)


@cache
def _pluralizer() -> Pluralizer:
    return Pluralizer()
