"""Words that Bedrock reserves. A prompt or label that contains one makes the whole customization job fail."""

from __future__ import annotations

RESERVED_WORDS = (
    *("User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "System:", "SYSTEM:"),
    *("Thought:", "<image>", "<video>", "<unk>", "[EOS]"),
)
"""The words of the Amazon Nova user guide and of aws/nova-forge-sdk."""
_FOLDED_WORDS = tuple(dict.fromkeys(word.lower() for word in RESERVED_WORDS))
_LETTERS_BEFORE = {mark: {word[-2] for word in _FOLDED_WORDS if word[-1] == mark} for mark in ":>]"}
"""Last but one characters of the reserved words in lower case, keyed by their last one."""


def find_reserved_words(text: str) -> list[str]:
    """Return the reserved words in ``text``. The search is case-sensitive, as in AWS's SDK."""
    return _matching_words(text)[0] if _may_match(text) else []


def find_reserved_words_in_other_case(text: str) -> list[str]:
    """Return the reserved words that ``text`` contains only in another case, in lower case.

    The newest version of aws-samples' validation script refuses them. The user guide does not mention case.
    """
    return _matching_words(text)[1] if _may_match(text) else []


def may_be_reserved(text: str) -> bool:
    """Return whether ``text`` contains a reserved word in any case."""
    return _may_match(text) and any(_matching_words(text))


def _may_match(text: str) -> bool:
    """Return whether ``text`` has the last two characters of a reserved word, which few texts have."""
    for mark, letters in _LETTERS_BEFORE.items():
        if mark in text:
            *parts, _ = text.split(mark)
            for part in parts:
                if part[-1:].lower() in letters:
                    return True
    return False


def _matching_words(text: str) -> tuple[list[str], list[str]]:
    """Return the reserved words in ``text``, and those that it contains only in another case."""
    folded = text.lower()
    exact = [word for word in RESERVED_WORDS if word in text]
    folded_exact = {word.lower() for word in exact}
    return exact, [word for word in _FOLDED_WORDS if word in folded and word not in folded_exact]
