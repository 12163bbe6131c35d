"""Read a model's answer as a set of keywords: one normalisation for labels, scores and report.

Plural folding, the last rule, needs a library and is in ``distillation/evaluation/parsed_answers.py``: steps that
only count keywords start without it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from distillation.records import Limits

LONGEST = 6
"""Words of a keyword above which it is a sentence; the shipped prompt asks for one to three."""

_SEPARATORS = re.compile(r"[,;、，；\n]")
_BULLET = re.compile(r"^(?:[-*•·–—]+|\(?\d+[.)])\s*")
_HEADER = re.compile(r"^[*_#\s]*[\w &/]{2,40}[*_]*:[*_]*(?:\s+|$)")
_EDGES = " \t\"'`“”‘’«».:*_#"


def split(text: str) -> list[str]:
    """Return the distinct keywords of an answer as they were written: split and trimmed, nothing else."""
    return list(dict.fromkeys(piece.strip() for piece in _SEPARATORS.split(text) if piece.strip()))


def normalise(text: str) -> list[str]:
    """Return the distinct keywords of an answer, normalised, in its order.

    NFKC; case folded; split at ``, ; 、`` and line ends; without bullets, numbering, category headers
    (``Objects: cat`` is ``cat``), quotes and closing full stops; hyphens and runs of spaces become one space.
    """
    pieces = _SEPARATORS.split(unicodedata.normalize("NFKC", text).casefold())
    return list(dict.fromkeys(word for word in map(_bare, pieces) if word))


def rejection(text: str, limits: Limits) -> str | None:
    """Return why a text is no list of as many keywords as were asked for, as ``is no list``; or None when it is one."""
    found = normalise(text)
    if not found or any(len(keyword.split()) > LONGEST for keyword in found):
        return f"is no list of keywords: {text[:80]!r}"
    if not limits.minimum <= len(found) <= limits.maximum:
        return f"has {len(found)} distinct keywords, not {limits.minimum} to {limits.maximum}"
    return None


def consensus(texts: Sequence[str], votes: int, limits: Limits) -> str:
    """Return the keywords that at least ``votes`` of the texts say, as a list on one line.

    Those that most of them say come first, among equals in the order of the texts; no more than the limits allow. A
    keyword is spelt as it is first.
    """
    spelling: dict[str, str] = {}
    said: Counter[str] = Counter()
    for text in texts:
        said.update(normalise(text))
        for piece in _SEPARATORS.split(unicodedata.normalize("NFKC", text)):
            spelling.setdefault(_bare(piece.casefold()), _trimmed(piece))
    agreed = sorted((keyword for keyword in said if said[keyword] >= votes), key=lambda keyword: -said[keyword])
    return ", ".join(spelling[keyword] for keyword in agreed[: limits.maximum])


# Models say the same words again and again.
@lru_cache(maxsize=50_000)
def _bare(piece: str) -> str:
    return " ".join(_trimmed(piece).replace("-", " ").split())


def _trimmed(piece: str) -> str:
    return " ".join(_HEADER.sub("", _BULLET.sub("", piece.strip())).strip(_EDGES).split())
