from __future__ import annotations

import pytest

from distillation.answers.formats.keywords import KeywordList, Keywords
from distillation.evaluation.scores import agreement, floor, label_values, measure, nearest
from distillation.records import AnswerLine
from tests.distillation.evaluation.answers import answer, parsed

FORMAT = Keywords(keywords_min=2, keywords_max=3)


def test_measures_of_an_answer_are_its_agreement_its_validity_and_those_of_the_format() -> None:
    columns = measure(FORMAT, {"i": answer("a, b, c, x")}, {"i": parsed(*"abc")})

    assert (columns["agreement"], columns["valid"], columns["within_limits"]) == ([0.75], [1.0], [0.0])
    assert columns["f1"] == [pytest.approx(6 / 7)]


def test_missing_answer_scores_zero_and_stays_in_the_denominator() -> None:
    labels = dict.fromkeys("ij", parsed(*"abc"))
    answers = {"i": answer("a, b, c")}

    assert agreement(FORMAT, answers, labels) == measure(FORMAT, answers, labels)["agreement"] == [1.0, 0.0]


@pytest.mark.parametrize(
    "invalid",
    [answer("a, b, c", status="refused"), answer("A cat sleeps on the sofa beside the window. It looks calm."), None],
    ids=["refused", "not in the format", "missing"],
)
def test_answer_that_is_not_valid_scores_zero_and_stays_in_the_denominator(invalid: AnswerLine | None) -> None:
    answers = {"i": answer("a, b, c")} | ({"j": invalid} if invalid else {})
    columns = measure(FORMAT, answers, dict.fromkeys("ij", parsed(*"abc")))

    assert columns["agreement"] == columns["soft_jaccard"] == columns["valid"] == [1.0, 0.0]
    assert columns["within_limits"] == [1.0, 0.0]


def test_label_that_is_not_valid_has_no_value() -> None:
    lines = {"i": answer("a, b"), "j": answer("a, b", status="refused"), "k": answer("")}

    assert label_values(FORMAT, lines) == {"i": KeywordList(("a", "b"))}


def test_floor_compares_with_images_of_other_groups_only() -> None:
    a, b = parsed(*"abc"), parsed(*"bcd")
    answers = {image: answer("a, b, c") for image in "ijk"}
    labels = {"i": a, "j": b, "k": b}

    assert floor(FORMAT, answers, labels, {"i": "i", "j": "j", "k": "k"}) == [0.5, 0.75, 0.75]
    assert floor(FORMAT, answers, labels, {"i": "i", "j": "j", "k": "j"}) == [0.5, 1.0, 1.0]
    assert floor(FORMAT, {}, labels, {"i": "i", "j": "j", "k": "j"}) == [0.0, 0.0, 0.0]


def test_nearest_copies_the_label_of_the_training_image_whose_hash_differs_in_the_fewest_bits() -> None:
    training = {"t0": parsed("cat"), "t1": parsed("dog"), "t2": parsed("tree")}
    hashes = {"t0": "0000000000000000", "t1": "7fffffffffffffff", "t2": "00000000000000ff"}
    hashes |= {"i": "70ffffffffffffff", "j": "000000000000007f", "k": "0000000000000001"}
    labels = {"i": parsed("dog"), "j": parsed("tree", "sea"), "k": parsed("dog")}

    assert nearest(FORMAT, labels, training, hashes) == [1, 0.5, 0]


def test_image_without_a_hash_is_blank_and_looks_like_a_blank_training_image() -> None:
    training = {"t0": parsed("cat"), "t1": parsed("blank")}
    assert nearest(FORMAT, {"i": parsed("blank")}, training, {"t0": "00ff"}) == [1]


def test_nearest_needs_hashes_and_training_labels() -> None:
    labels = {"i": parsed("cat")}
    assert nearest(FORMAT, labels, labels, {}) is None
    assert nearest(FORMAT, labels, {}, {"i": "00ff"}) is None
