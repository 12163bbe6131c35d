from __future__ import annotations

import pytest

from lambdas.evaluate.scores import agreement, control, floor, jaccard, mean

A, B = frozenset("abc"), frozenset("bcd")


def test_jaccard_is_shared_over_all() -> None:
    assert jaccard(A, A) == 1
    assert jaccard(A, B) == 0.5
    assert jaccard(A, frozenset("x")) == 0
    assert jaccard(frozenset(), frozenset()) == 0


def test_missing_answer_scores_nothing_rather_than_being_left_out() -> None:
    assert agreement({"i": A}, {"i": A, "j": B}) == [1.0, 0.0]


def test_floor_compares_with_the_other_images_only() -> None:
    assert floor({"i": A, "j": A, "k": A}, {"i": A, "j": B, "k": B}) == [0.5, 0.75, 0.75]


def test_control_is_the_commonest_keywords_at_the_median_length() -> None:
    assert control([frozenset("ab"), frozenset("ac"), frozenset("abd")]) == frozenset("ab")


def test_interval_holds_the_mean_repeats_and_narrows_with_more_images() -> None:
    few, many = mean([0.1, 0.5, 0.3, 0.4]), mean([0.1, 0.5, 0.3, 0.4] * 25)

    assert few.low < few.mean < few.high
    assert few == mean([0.1, 0.5, 0.3, 0.4])
    assert many.high - many.low < few.high - few.low
    assert mean([0.2] * 5).as_json() == {"mean": pytest.approx(0.2), "ci95": [pytest.approx(0.2)] * 2}
