from __future__ import annotations

import pytest

from distillation.answers.rejection import label_rejection, prediction_rejection
from distillation.records import Answer, Usage
from tests.support.builders import run_with_limits


@pytest.mark.parametrize(
    ("text", "stop_reason", "expected"),
    [
        ("cat, sofa, window", "max_tokens", "max_tokens"),
        ("cat, sofa, window", "content_filtered", "content_filtered"),
        ("cat, sofa, User: x", "end_turn", "User:"),
        ("cat, sofa, my User\uff1a x", "end_turn", "User:"),
        ("cat, sofa, my Us**er: x", "end_turn", "User:"),
        ('["\\u003cimage\\u003e of a cat", "sofa", "lamp"]', "end_turn", "<image>"),
        ("I cannot help with that.", "end_turn", "is a refusal: 'I cannot help'"),
        ("cat, sofa, but I can\u2019t identify people", "end_turn", "is a refusal"),
        ("", "end_turn", "not a list of keywords"),
        ("The photo shows a cat on a sofa, a window, and a lamp", "end_turn", "not a list of keywords"),
        ("cat, Cat, cats-eye", "end_turn", "2 distinct keywords, not 3 to 4"),
        ("a, b, c, d, e", "end_turn", "5 distinct keywords, not 3 to 4"),
        ("cat, sofa, window", "end_turn", None),
    ],
)
def test_label_is_usable_only_if_it_is_complete_and_in_the_requested_format(
    text: str, stop_reason: str, expected: str | None
) -> None:
    reason = label_rejection(run_with_limits(3, 4), any_answer(text, stop_reason))

    assert (expected in (reason or "")) if expected else reason is None


@pytest.mark.parametrize(
    ("text", "stop_reason", "expected"),
    [
        ("cat, sofa, window", "max_tokens", "max_tokens"),
        ("I cannot help with that.", "end_turn", "is a refusal: 'I cannot help'"),
        ("", "end_turn", "not a list of keywords"),
        ("The photo shows a cat on a sofa, a window, and a lamp", "end_turn", "not a list of keywords"),
        ("cat", "end_turn", None),
        (", ".join(f"keyword {number}" for number in range(150)), "end_turn", None),
        ("cat, sofa, User: x", "end_turn", None),
    ],
)
def test_prediction_is_valid_with_any_number_of_keywords_and_with_reserved_words(
    text: str, stop_reason: str, expected: str | None
) -> None:
    reason = prediction_rejection(run_with_limits(3, 4), any_answer(text, stop_reason))

    assert (expected in (reason or "")) if expected else reason is None


def any_answer(text: str, stop_reason: str) -> Answer:
    usage = Usage(input_tokens=1, output_tokens=1)
    return Answer(model="m", image="i", text=text, stop_reason=stop_reason, usage=usage, latency_ms=1)
