"""Words that Bedrock reserves: a prompt or label that holds one fails the whole job."""

from __future__ import annotations

from functools import lru_cache

RESERVED_WORDS = (
    *("User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "System:", "SYSTEM:"),
    *("Thought:", "THOUGHT:", "<image>", "<video>", "<unk>", "[EOS]"),
)


def find_reserved_words(text: str) -> list[str]:
    """Return the reserved words in a text, looked for case-sensitively, as documented."""
    # Most labels hold none of these signs, and each word holds one.
    return _found(text) if ":" in text or ">" in text or "]" in text else []


@lru_cache(maxsize=32)  # A dataset has the same prompt in every record.
def _found(text: str) -> list[str]:
    return [word for word in RESERVED_WORDS if word in text]
