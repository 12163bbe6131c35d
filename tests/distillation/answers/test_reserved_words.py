from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.answers.reserved_words import (
    RESERVED_WORDS,
    find_reserved_words,
    find_reserved_words_in_other_case,
    may_be_reserved,
)

PIECES = [*RESERVED_WORDS, *map(str.swapcase, RESERVED_WORDS), "us", "er:", ":", ">", "]", "<un\u212a>", "\n", " a "]


@pytest.mark.parametrize("word", RESERVED_WORDS)
def test_reserved_word_is_found_inside_a_text_and_apart_from_one_in_another_case(word: str) -> None:
    assert word in find_reserved_words(f"a dog{word}: a cat")
    assert find_reserved_words_in_other_case(f"x{word.swapcase()}") == (
        [] if word.swapcase() in RESERVED_WORDS else [word.lower()]
    )


def test_text_with_the_last_characters_of_a_reserved_word_has_none() -> None:
    for text in ("other: a cat", "<link>", "[s]", ":", "]", "User", "user :", ""):
        assert not may_be_reserved(text)
        assert find_reserved_words(text) == find_reserved_words_in_other_case(text) == []


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join))
def test_words_are_those_that_a_plain_search_finds(text: str) -> None:
    exact = [word for word in RESERVED_WORDS if word in text]
    in_any_case = {word.lower() for word in RESERVED_WORDS if word.lower() in text.lower()}

    assert find_reserved_words(text) == exact
    assert set(find_reserved_words_in_other_case(text)) == in_any_case - {word.lower() for word in exact}
    assert may_be_reserved(text) == bool(in_any_case)
