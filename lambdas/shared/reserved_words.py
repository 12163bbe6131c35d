"""Words that Bedrock reserves: a prompt or label that holds one fails the whole job."""

from __future__ import annotations

RESERVED_WORDS = (
    *("User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "System:", "SYSTEM:"),
    *("Thought:", "THOUGHT:", "<image>", "<video>", "<unk>", "[EOS]"),
)


def reserved_words(text: str) -> list[str]:
    """Return the reserved words in a text, looked for case-sensitively, as documented."""
    return [word for word in RESERVED_WORDS if word in text]
