from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from distillation.evaluation.scores import (
    METRICS,
    agreement,
    best_matching,
    compare,
    control,
    floor,
    jaccard,
    keyword_changes,
    soft_jaccard,
    within_limits,
)
from distillation.records import Limits
from tests.distillation.evaluation.answers import answer, parsed

A, B = frozenset("abc"), frozenset("bcd")


def test_jaccard_is_shared_keywords_over_all_keywords() -> None:
    assert jaccard(A, A) == 1
    assert jaccard(A, B) == 0.5
    assert jaccard(A, frozenset("x")) == 0
    assert jaccard(frozenset(), frozenset()) == 0


def test_similar_spellings_count_by_their_similarity_and_only_once() -> None:
    assert soft_jaccard(frozenset({"grey sky"}), frozenset({"sky grey"})) == 1
    assert 0.8 < soft_jaccard(frozenset({"colour"}), frozenset({"color"})) < 1
    assert soft_jaccard(frozenset({"harbour", "harbor"}), frozenset({"harbours"})) < 0.5


def test_matching_has_the_largest_sum_of_weights() -> None:
    generator = np.random.default_rng(1)
    for _ in range(200):
        weights = generator.random(generator.integers(1, 7, 2)) * generator.integers(0, 2)
        rows, columns = optimize.linear_sum_assignment(weights, maximize=True)
        assert best_matching(weights) == pytest.approx(weights[rows, columns].sum())


def test_metrics_compare_an_answer_with_a_label() -> None:
    metrics = dict(zip(METRICS, compare(parsed(*"abcx"), parsed(*"abc")), strict=True))

    assert metrics["jaccard"] == metrics["precision"] == 0.75
    assert metrics["recall"] == metrics["count_drift"] == metrics["valid"] == 1
    assert metrics["f1"] == pytest.approx(6 / 7)


def test_missing_answer_scores_zero() -> None:
    label = parsed(*"abc")
    assert agreement({"i": answer("a, b, c")}, {"i": label, "j": label})["jaccard"] == [1.0, 0.0]


def test_answer_that_is_not_valid_scores_zero_and_stays_in_the_denominator() -> None:
    answers = {"i": answer("a, b, c"), "j": answer("a, b, c", status="refused")}
    metrics = agreement(answers, dict.fromkeys("ij", parsed(*"abc")))

    assert metrics["jaccard"] == metrics["soft_jaccard"] == metrics["valid"] == [1.0, 0.0]


def test_number_of_keywords_is_compared_with_the_requested_one() -> None:
    answers = {"i": answer("a, b"), "j": answer("a, b, c, d"), "k": answer("a, b, c", status="refused")}
    labels = dict.fromkeys("ijkl", parsed(*"abc"))

    assert within_limits(answers, labels, Limits(minimum=2, maximum=3)) == [1.0, 0.0, 0.0, 0.0]


def test_floor_compares_with_images_of_other_groups_only() -> None:
    a, b = parsed(*"abc"), parsed(*"bcd")
    answers = {image: answer("a, b, c") for image in "ijk"}
    labels = {"i": a, "j": b, "k": b}

    assert floor(answers, labels, {"i": "i", "j": "j", "k": "k"}) == [0.5, 0.75, 0.75]
    assert floor(answers, labels, {"i": "i", "j": "j", "k": "j"}) == [0.5, 1.0, 1.0]


def test_control_has_the_most_common_keywords_at_the_median_length() -> None:
    assert control([frozenset("ab"), frozenset("ac"), frozenset("abd")]) == frozenset("ab")


def test_keyword_changes_are_counted_by_image_and_sorted_by_frequency() -> None:
    labels = {"i": parsed(*"abc"), "j": parsed(*"abd")}
    base = {"i": answer("c, x"), "j": answer("d")}
    tuned = {"i": answer("a, b, x"), "j": answer("a, d")}
    changes = keyword_changes(base, tuned, labels)

    assert changes.learned == [("a", 2), ("b", 1)]
    assert changes.lost == [("c", 1)]
