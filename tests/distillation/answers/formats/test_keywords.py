from __future__ import annotations

import pytest

from distillation.answers.formats.keywords import items_as_written, normalise


def test_keywords_are_normalised() -> None:
    text = '1. Cat\n- "Golden-Hour", cat; ＷＩＤＥ  view、 * sky.'

    assert normalise(text) == ["cat", "golden hour", "wide view", "sky"]


@pytest.mark.parametrize(
    "text",
    [
        "Cat, sofa",
        "- cat\n- Sofa.",
        "1. cat\n2) sofa",
        '"cat"; “sofa”',
        "cat、ｓｏｆａ",
        "Objects: cat\n**Place:** sofa",
        "cat, CAT,sofa",
    ],
)
def test_layout_of_a_list_does_not_change_its_keywords(text: str) -> None:
    assert normalise(text) == ["cat", "sofa"]


def test_split_returns_distinct_keywords_as_written() -> None:
    assert items_as_written("Cats, sofa-bed, Cats") == ["Cats", "sofa-bed"]
