"""Read a model's answer as a set of keywords: one normalisation for labels, scores and report.

Plural folding, the last rule, needs a library and lies in ``lambdas/evaluate/readings.py``: the steps that only
count keywords start without it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SEPARATORS = re.compile(r"[,;、，；\n]")
_BULLET = re.compile(r"^(?:[-*•·–—]+|\(?\d+[.)])\s*")
_HEADER = re.compile(r"^[*_#\s]*[\w &/]{2,40}[*_]*:[*_]*(?:\s+|$)")
_EDGES = " \t\"'`“”‘’«».:*_#"


def written(text: str) -> list[str]:
    """Return the distinct keywords of an answer as they were written: split and trimmed, nothing else."""
    return list(dict.fromkeys(piece.strip() for piece in _SEPARATORS.split(text) if piece.strip()))


def keywords(text: str) -> list[str]:
    """Return the distinct keywords of an answer, normalised, in its order.

    NFKC; case folded; split at ``, ; 、`` and line ends; without bullets, numbering, category headers
    (``Objects: cat`` is ``cat``), quotes and closing full stops; hyphens and runs of spaces become one space.
    """
    pieces = _SEPARATORS.split(unicodedata.normalize("NFKC", text).casefold())
    return list(dict.fromkeys(word for word in map(_bare, pieces) if word))


# Models say the same words again and again.
@lru_cache(maxsize=50_000)
def _bare(piece: str) -> str:
    entry = _HEADER.sub("", _BULLET.sub("", piece.strip()))
    return " ".join(entry.strip(_EDGES).replace("-", " ").split())
