from __future__ import annotations

import pytest

from distillation.evaluation.parsed_answers import parse_answer, parse_answers, singular
from tests.distillation.evaluation.answers import answer


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


def test_answer_that_is_not_valid_has_no_keywords() -> None:
    assert parse_answer(answer("cat, dogs, sea")).valid
    refused = parse_answer(answer("cat, dogs, sea", status="refused"))
    assert not refused.valid
    assert refused.keywords == refused.unnormalised == frozenset()


def test_missing_answer_has_no_keywords() -> None:
    assert parse_answer(None).keywords == frozenset()
    assert not parse_answer(None).valid


def test_keywords_are_also_available_without_normalisation() -> None:
    parsed = parse_answers({"i": answer("Red Cars, red car")})["i"]

    assert parsed.keywords == {"red car"}
    assert parsed.unnormalised == {"Red Cars", "red car"}
