"""Words that Bedrock reserves. A prompt or label that contains one makes the whole customization job fail."""

from __future__ import annotations

from functools import lru_cache

RESERVED_WORDS = (
    *("User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "System:", "SYSTEM:"),
    *("Thought:", "<image>", "<video>", "<unk>", "[EOS]"),
)
"""The words of the Amazon Nova user guide and of aws/nova-forge-sdk."""
_FOLDED_WORDS = tuple(dict.fromkeys(word.lower() for word in RESERVED_WORDS))


def find_reserved_words(text: str) -> list[str]:
    """Return the reserved words in ``text``. The search is case-sensitive, as in AWS's SDK."""
    return list(_matching_words(text)[0]) if _may_match(text) else []


def find_reserved_words_in_other_case(text: str) -> list[str]:
    """Return the reserved words that ``text`` contains only in another case, in lower case.

    The newest version of aws-samples' validation script refuses them. The user guide does not mention case.
    """
    return list(_matching_words(text)[1]) if _may_match(text) else []


def may_be_reserved(text: str) -> bool:
    """Return whether ``text`` contains a reserved word in any case."""
    return _may_match(text) and any(_matching_words(text))


def _may_match(text: str) -> bool:
    # Each reserved word ends with one of these characters, and most labels contain none of them.
    return ":" in text or ">" in text or "]" in text


@lru_cache(maxsize=32)  # A dataset has the same prompt in every record.
def _matching_words(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the reserved words in ``text``, and those that it contains only in another case."""
    folded = text.lower()
    in_any_case = [word for word in _FOLDED_WORDS if word in folded]
    if not in_any_case:
        return (), ()
    exact = tuple(word for word in RESERVED_WORDS if word in text)
    folded_exact = {word.lower() for word in exact}
    return exact, tuple(word for word in in_any_case if word not in folded_exact)
