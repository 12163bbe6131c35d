"""The format ``keywords``: a list of keywords on one line or on several.

Labels, scores and the report share this normalisation. Folding plurals needs a library, so it is in
``distillation/evaluation/parsed_answers.py``; steps that only count keywords start without that library.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from distillation.errors import excerpt
from distillation.plain_text import clean
from distillation.records import Limits

MAXIMUM_WORDS = 6
"""Words that one keyword may have. A longer one is a sentence; the default prompt asks for one to three words."""

_SEPARATORS = re.compile(r"[,;、，；\n]")
_BULLET = re.compile(r"^(?:[-*•·–—]+|\(?\d+[.)])\s*")
_HEADER = re.compile(r"^[*_#\s]*[\w &/]{2,40}[*_]*:[*_]*(?:\s+|$)")
_QUOTES_AND_PUNCTUATION = " \t\"'`“”‘’«».:*_#"


def items_as_written(text: str) -> list[str]:
    """Return the distinct keywords of ``text`` as written, without surrounding spaces."""
    return list(dict.fromkeys(piece.strip() for piece in _SEPARATORS.split(text) if piece.strip()))


def normalise(text: str) -> list[str]:
    """Return the distinct keywords of ``text``, normalised, in the order of the text.

    Normalisation applies NFKC and case folding, and replaces hyphens and runs of spaces with one space. It removes
    invisible characters, bullets, numbering, category headers (``Objects: cat`` is ``cat``), quotes and full stops at
    the end.
    """
    pieces = _SEPARATORS.split(clean(unicodedata.normalize("NFKC", text)).casefold())
    return list(dict.fromkeys(keyword for keyword in map(_normalised_keyword, pieces) if keyword))


def rejection(text: str) -> str | None:
    """Return why ``text`` is not a keyword list, or None if it is: no keyword may exceed ``MAXIMUM_WORDS``."""
    keywords = normalise(text)
    if not keywords or any(len(keyword.split()) > MAXIMUM_WORDS for keyword in keywords):
        return f"is not a list of keywords: {excerpt(text)!r}"
    return None


def limit_rejection(text: str, limits: Limits) -> str | None:
    """Return why the number of distinct keywords of ``text`` is not within ``limits``, or None if it is."""
    count = len(normalise(text))
    if limits.minimum <= count <= limits.maximum:
        return None
    return f"has {count} distinct keywords, not {limits.minimum} to {limits.maximum}"


def consensus(texts: Sequence[str], votes: int, limits: Limits | None) -> str:
    """Return the keywords that at least ``votes`` of the texts contain, as a list on one line.

    Keywords are sorted by votes, highest first, and then by the order of the texts. At most ``limits.maximum`` are
    returned (all of them without ``limits``), each spelled as in the first text that contains it.
    """
    spellings: dict[str, str] = {}
    votes_of: Counter[str] = Counter()
    for text in texts:
        votes_of.update(normalise(text))
        for piece in _SEPARATORS.split(clean(unicodedata.normalize("NFKC", text))):
            spellings.setdefault(_normalised_keyword(piece.casefold()), _without_markup(piece))
    agreed = [keyword for keyword, count in votes_of.items() if count >= votes]
    agreed.sort(key=lambda keyword: -votes_of[keyword])
    return ", ".join(spellings[keyword] for keyword in agreed[: limits.maximum if limits else None])


# Answers about one collection repeat the same keywords.
@lru_cache(maxsize=50_000)
def _normalised_keyword(piece: str) -> str:
    return " ".join(_without_markup(piece).replace("-", " ").split())


def _without_markup(piece: str) -> str:
    """Return ``piece`` without bullet, category header, surrounding quotes and repeated spaces."""
    return " ".join(_HEADER.sub("", _BULLET.sub("", piece.strip())).strip(_QUOTES_AND_PUNCTUATION).split())
