from __future__ import annotations

from distillation.answers.formats.keywords import normalise


def test_keywords_are_normalised() -> None:
    text = '1. Cat\n- "Golden-Hour", cat; ＷＩＤＥ  view、 * sky.'

    assert normalise(text) == ["cat", "golden hour", "wide view", "sky"]
