"""The format ``keywords``: a list of keywords in any form that ``keyword_reader`` reads.

Labels, scores and the report share this normalisation. Folding plurals needs a library, so it is in
``distillation/evaluation/parsed_answers.py``; steps that only count keywords start without that library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from distillation.answers.keyword_reader import read_keywords, write_keywords
from distillation.errors import excerpt
from distillation.records import Limits

MAXIMUM_WORDS = 6
"""Words that one keyword may have. A longer one is a sentence; the default prompt asks for one to three words."""

_HYPHENS_AND_UNDERSCORES = str.maketrans(dict.fromkeys("-_‐‑‒–—―−⁃", " "))


def items_as_written(text: str) -> list[str]:
    """Return the distinct keywords of ``text`` in its spelling. Normalised, they are the items of ``normalise``."""
    return list(dict.fromkeys(read_keywords(text)))


def normalise(text: str) -> list[str]:
    """Return the distinct keywords of ``text``, normalised, in the order of the text.

    Normalisation applies NFKC and case folding, and replaces hyphens, underscores and runs of spaces with one space.
    """
    return list(dict.fromkeys(map(normalised_keyword, read_keywords(text))))


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
        written = items_as_written(text)
        for keyword in written:
            spellings.setdefault(normalised_keyword(keyword), keyword)
        votes_of.update(dict.fromkeys(map(normalised_keyword, written), 1))
    agreed = [keyword for keyword, count in votes_of.items() if count >= votes]
    agreed.sort(key=lambda keyword: -votes_of[keyword])
    return write_keywords(spellings[keyword] for keyword in agreed[: limits.maximum if limits else None])


# Answers about one collection repeat the same keywords.
@lru_cache(maxsize=50_000)
def normalised_keyword(keyword: str) -> str:
    """Return the normalised form of one keyword as written."""
    words = keyword.casefold().translate(_HYPHENS_AND_UNDERSCORES).split()
    return " ".join(words) or keyword
