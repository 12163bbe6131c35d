"""Words that Bedrock reserves. A prompt or label that contains one makes the whole customization job fail."""

from __future__ import annotations

import re
from functools import lru_cache

RESERVED_WORDS = (
    *("User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "System:", "SYSTEM:"),
    *("Thought:", "THOUGHT:", "<image>", "<video>", "<unk>", "[EOS]"),
)
_ANY_RESERVED_WORD = re.compile("|".join(map(re.escape, RESERVED_WORDS)))


def find_reserved_words(text: str) -> list[str]:
    """Return the reserved words in ``text``. The search is case-sensitive, as Bedrock documents it."""
    # Fast path: each reserved word ends with one of these characters, and most labels contain none of them.
    if ":" in text or ">" in text or "]" in text:
        return _matching_words(text)
    return []


@lru_cache(maxsize=32)  # A dataset has the same prompt in every record.
def _matching_words(text: str) -> list[str]:
    return [word for word in RESERVED_WORDS if word in text] if _ANY_RESERVED_WORD.search(text) else []
