"""Phrases with which a model refuses to answer. A text that contains one is never used as a label.

The phrases are English because the default prompt asks for English. A refusal in another language usually fails the
check of the answer format instead.
"""

from __future__ import annotations

import re

_SPEAKER = r"\b(?:I(?:'m| am)|we(?:'re| are)|sorry,?|(?:model|assistant|AI|system|service) is)"
# A caption may say that a person in the picture is "unable to see". Without a speaker such as "I am", the phrase is a
# refusal only at the start of a sentence.
_UNABLE = rf"(?:(?:^\W*|[.:!?\n]\s*|{_SPEAKER} (?:currently )?)(?:unable|not able) to)"
_WILL_NOT = rf"(?:\bI (?:cannot|can not|can't|won't|will not)|{_UNABLE})"
_DO = (
    "(?:help|assist|comply|fulfill?|provide|identify|describe|analy[sz]e|process|generate|create|answer|discuss|"
    "view|see|access|read)"
)
REFUSALS = (
    rf"{_WILL_NOT} (?:\w+ ){{0,3}}{_DO}\b",
    r"\bI(?:'m| am) sorry,? (?:but|I)\b",
    r"\bI apologi[sz]e\b",
    r"\bas an AI\b",
    r"\b(?:against|violates?) (?:my|our|the|content) (?:\w+ )?(?:guidelines|policy|policies)\b",
    r"\bblocked by our content filters\b",
)
"""Regular expressions that match a refusal anywhere in a text, ignoring case."""

_ANY_REFUSAL = re.compile("|".join(REFUSALS), re.IGNORECASE)
_MARKERS = ("not", "n't", "n\u2019t", "unable", "sorry", "apolog", "as an ai", "against", "violate", "blocked")
"""Substrings in lower case; every refusal contains at least one of them."""


def find_refusal(text: str) -> str | None:
    """Return the phrase with which ``text`` refuses, or None if it does not refuse."""
    # Fast path: the substring search takes a tenth of the time of the regular expressions.
    if not any(map(text.casefold().__contains__, _MARKERS)):
        return None
    match = _ANY_REFUSAL.search(text.replace("\u2019", "'"))
    return match.group() if match else None
