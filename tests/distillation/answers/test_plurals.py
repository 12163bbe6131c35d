from __future__ import annotations

import pytest

from distillation.answers.plurals import singular


@pytest.mark.parametrize(
    ("plural", "expected"), [("red cars", "red car"), ("people", "person"), ("glass", "glass"), ("sunset", "sunset")]
)
def test_plural_and_singular_are_one_keyword(plural: str, expected: str) -> None:
    assert singular(plural) == singular(expected) == expected


@pytest.mark.parametrize(
    "word",
    [
        *("lens", "species", "james", "pants", "data", "us", "series", "news", "1960s", "paris", "texas", "scissors"),
        *("as", "aws", "jones", "des", "cyclops", "goggles"),
        *("physics", "bus", "gps", "oasis", "women's"),
    ],
)
def test_word_that_is_no_plural_is_not_singularised(word: str) -> None:
    assert singular(word) == word
    assert singular(f"old {word}") == f"old {word}"


def test_plural_of_lens_is_read() -> None:
    assert singular("camera lenses") == "camera lens"
