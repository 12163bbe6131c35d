from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from distillation.answers.formats.keywords import normalise, split
from distillation.evaluation import intervals
from distillation.evaluation.evaluation import Evidence, evaluate
from distillation.evaluation.html_report import Page, render
from distillation.evaluation.parsed_answers import ParsedAnswer, parse_answer, singular
from distillation.evaluation.scores import (
    METRICS,
    agreement,
    best_matching,
    compare,
    control,
    floor,
    jaccard,
    soft_jaccard,
)
from distillation.records import AnswerLine, Usage

A, B = frozenset("abc"), frozenset("bcd")


def line(text: str | None, status: str = "ok", image: str = "i") -> AnswerLine:
    return AnswerLine.model_validate({"image": image, "answerer": "x", "status": status, "text": text})


def reading(*words: str) -> ParsedAnswer:
    return ParsedAnswer(frozenset(words), frozenset(words), valid=True)


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
def test_one_list_of_keywords_reads_the_same_however_it_is_laid_out(text: str) -> None:
    assert normalise(text) == ["cat", "sofa"]


def test_raw_reading_keeps_what_was_written() -> None:
    assert split("Cats, sofa-bed, Cats") == ["Cats", "sofa-bed"]


@pytest.mark.parametrize(
    ("many", "one"), [("red cars", "red car"), ("people", "person"), ("glass", "glass"), ("sunset", "sunset")]
)
def test_plural_and_singular_are_one_keyword(many: str, one: str) -> None:
    assert singular(many) == singular(one) == one


def test_refused_answer_counts_for_what_it_said_but_not_as_valid() -> None:
    assert parse_answer(line("cat, dogs, sea")).valid
    assert not parse_answer(line("cat, dogs, sea", status="refused")).valid
    assert parse_answer(None).keywords == frozenset()


def test_jaccard_is_shared_over_all() -> None:
    assert jaccard(A, A) == 1
    assert jaccard(A, B) == 0.5
    assert jaccard(A, frozenset("x")) == 0
    assert jaccard(frozenset(), frozenset()) == 0


def test_near_spellings_count_by_their_likeness_and_only_once() -> None:
    assert soft_jaccard(frozenset({"grey sky"}), frozenset({"sky grey"})) == 1
    assert 0.8 < soft_jaccard(frozenset({"colour"}), frozenset({"color"})) < 1
    assert soft_jaccard(frozenset({"harbour", "harbor"}), frozenset({"harbours"})) < 0.5


def test_matching_is_the_best_there_is() -> None:
    generator = np.random.default_rng(1)
    for _ in range(200):
        weights = generator.random(generator.integers(1, 7, 2)) * generator.integers(0, 2)
        rows, columns = optimize.linear_sum_assignment(weights, maximize=True)
        assert best_matching(weights) == pytest.approx(weights[rows, columns].sum())


def test_metrics_of_a_pair() -> None:
    found = dict(zip(METRICS, compare(reading(*"abcx"), reading(*"abc")), strict=True))

    assert found["jaccard"] == found["precision"] == 0.75
    assert found["recall"] == found["count_drift"] == found["valid"] == 1
    assert found["f1"] == pytest.approx(6 / 7)


def test_missing_answer_scores_nothing_rather_than_being_left_out() -> None:
    label = reading(*"abc")
    assert agreement({"i": line("a, b, c")}, {"i": label, "j": label})["jaccard"] == [1.0, 0.0]


def test_floor_compares_with_images_of_other_groups_only() -> None:
    a, b = reading(*"abc"), reading(*"bcd")
    answers = {image: line("a, b, c") for image in "ijk"}
    labels = {"i": a, "j": b, "k": b}

    assert floor(answers, labels, {"i": "i", "j": "j", "k": "k"}) == [0.5, 0.75, 0.75]
    assert floor(answers, labels, {"i": "i", "j": "j", "k": "j"}) == [0.5, 1.0, 1.0]


def test_control_is_the_commonest_keywords_at_the_median_length() -> None:
    assert control([frozenset("ab"), frozenset("ac"), frozenset("abd")]) == frozenset("ab")


def test_interval_agrees_with_scipy_and_repeats() -> None:
    values = np.random.default_rng(3).random(60)
    ours = intervals.resample({"x": list(values)}, [str(place) for place in range(60)]).mean("x")
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=3).confidence_interval

    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)
    assert ours == intervals.resample({"x": list(values)}, [str(place) for place in range(60)]).mean("x")


def test_near_duplicates_do_not_make_an_interval_narrower() -> None:
    values = list(np.random.default_rng(4).random(20))
    alone = intervals.resample({"x": values}, [str(place) for place in range(20)]).mean("x")
    copied = intervals.resample({"x": values * 5}, [str(place) for place in range(20)] * 5).mean("x")

    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_permutation_agrees_with_scipy() -> None:
    differences = np.random.default_rng(5).normal(0.03, 0.1, 40)
    theirs = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=5)

    assert intervals.permutation_p(list(differences), [str(i) for i in range(40)]) == pytest.approx(
        theirs.pvalue, abs=0.015
    )


def test_holm_corrects_for_the_number_of_sizes() -> None:
    assert intervals.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_curve_finds_the_law_it_was_drawn_from_and_needs_three_sizes() -> None:
    sizes = [100, 300, 900]
    law = {f"n{size}": [0.6 - 0.9 * size**-0.4] * 4 for size in sizes}
    drawn = intervals.resample(law, list("abcd"))
    found = intervals.fit_curve(sizes, drawn, list(law))

    assert found is not None
    assert found["next_size"] == 1800
    assert found["expected"]["mean"] == pytest.approx(0.6 - 0.9 * 1800**-0.4, abs=0.002)  # type: ignore[index]
    assert intervals.fit_curve(sizes[:2], drawn, list(law)[:2]) is None


def evidence(tuned: str, images: int = 24) -> Evidence:
    names = [f"i{place}" for place in range(images)]
    label = {name: line(f"cat, sofa, thing {place}, colour {place}", image=name) for place, name in enumerate(names)}
    return Evidence(
        labels=label,
        tuned={"n8": {name: line(tuned.format(place), image=name) for place, name in enumerate(names)}},
        base={name: line("dog, sea, sky", image=name) for name in names},
        ceiling=label,
    )


def test_model_that_sees_passes_the_gate_with_its_share_of_the_gap() -> None:
    found = evaluate(evidence("cat, sofa, thing {}")).figures

    assert found["gate"]["passed"]
    assert found["jaccard"]["tuned"]["8"]["mean"] == pytest.approx(0.75)
    assert found["headlines"]["gap_closed"]["mean"] == pytest.approx(0.75)
    assert 0 < found["headlines"]["seen"]["mean"] < 1


def test_teacher_on_the_flex_tier_is_priced_as_such_and_the_student_is_not() -> None:
    used = {"i0": line("cat", image="i0").model_copy(update={"usage": Usage(input_tokens=1000, output_tokens=0)})}
    models = {"teacher": "amazon.nova-pro-v1:0", "base": "amazon.nova-lite-v1:0"}
    asked = Evidence(labels=used, tuned={"n8": used}, base=used, models=models)
    standard, flex = (evaluate(replace(asked, tier=tier)).figures["serving"] for tier in ("default", "flex"))

    assert flex["teacher"]["usd_per_1000"] == pytest.approx(standard["teacher"]["usd_per_1000"] / 2)
    assert flex["base"] == standard["base"]


def test_agreeing_with_the_teacher_is_not_being_right_and_both_are_told() -> None:
    gold = {f"i{place}": line(f"cat, thing {place}", image=f"i{place}") for place in range(10)}
    measured = evidence("cat, sofa, thing {}")
    found = evaluate(replace(measured, gold=gold))

    assert found.figures["gold"]["images"] == 10
    right = {name: value["mean"] for name, value in found.figures["gold"]["jaccard"].items()}
    assert right == pytest.approx({"teacher": 0.5, "base": 0, "n8": 2 / 3, "ceiling": 0.5})
    assert evaluate(measured).figures["gold"] is None
    report = {**found.figures, "verdict": "", "doubling": None, "status": "complete"}
    page = Page(title="t", subtitle="s", teacher="t", student="s", report=report, evaluation=found)
    assert "Against the owner's own labels (10 images)" in render(page, [])


def test_model_that_learnt_by_heart_is_not_promoted_and_the_reason_is_told() -> None:
    found = evaluate(evidence("cat, sofa, colour 0, colour 1")).figures

    assert not found["gate"]["passed"]
    assert found["gate"]["reasons"] == ["it does not surely beat the commonest keywords"]
    assert found["headlines"]["seen"]["mean"] <= 0


def test_model_equal_to_base_gains_nothing_surely() -> None:
    gate = evaluate(evidence("dog, sea, sky")).figures["gate"]

    assert not gate["passed"]
    assert len(gate["reasons"]) == 3
