"""Read a model's answer as a set of keywords: one normalisation for labels, scores and report."""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = re.compile(r"[,;、\n]")
_BULLET = re.compile(r"^(?:[-*•·–—]+|\d+[.)])\s*")
_EDGES = " \t\"'`“”‘’.:*_"


def keywords(text: str) -> list[str]:
    """Return the distinct keywords of an answer, in its order.

    NFKC, case folded, without bullets, numbering, quotes and closing full stops; split at
    ``, ; 、`` and line ends; hyphens and runs of spaces become one space.
    """
    found: dict[str, None] = {}
    for piece in _SEPARATORS.split(unicodedata.normalize("NFKC", text).casefold()):
        word = _BULLET.sub("", piece.strip()).strip(_EDGES)
        word = " ".join(word.replace("-", " ").split())
        if word:
            found[word] = None
    return list(found)
