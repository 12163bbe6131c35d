"""How a model says that it will not answer; such a text is no label, whatever else it holds.

English only, as the shipped prompt asks for English. A refusal in other words fails as a list of keywords.
"""

from __future__ import annotations

import re

_WILL_NOT = r"(?:I (?:cannot|can not|can't|won't|will not)|unable to|not able to)"
_DO = (
    "(?:help|assist|comply|fulfill?|provide|identify|describe|analy[sz]e|process|generate|create|answer|discuss|"
    "view|see|access|read)"
)
REFUSALS = (
    rf"\b{_WILL_NOT} (?:\w+ ){{0,3}}{_DO}\b",
    r"\bI(?:'m| am) sorry,? (?:but|I)\b",
    r"\bI apologi[sz]e\b",
    r"\bas an AI\b",
    r"\b(?:against|violates?) (?:my|our|the|content) (?:\w+ )?(?:guidelines|policy|policies)\b",
    r"\bblocked by our content filters\b",
)
"""Regular expressions, looked for anywhere and in any case."""

_ANY = re.compile("|".join(REFUSALS), re.IGNORECASE)


def find_refusal(text: str) -> str | None:
    """Return the words by which a text refuses, or None."""
    found = _ANY.search(text.replace("\u2019", "'"))
    return found.group() if found else None
