from __future__ import annotations

from dataclasses import replace

import pytest

from distillation.evaluation.evaluation import Evidence, evaluate
from distillation.records import Usage
from tests.distillation.evaluation.answers import answer, any_evidence


def test_model_that_sees_the_images_passes_the_gate() -> None:
    figures = evaluate(any_evidence("cat, sofa, thing {}")).figures

    assert figures.gate is not None
    assert figures.gate.passed
    assert figures.jaccard.tuned["n8"].mean == pytest.approx(0.75)
    assert figures.headlines.gap_closed is not None
    assert figures.headlines.gap_closed.mean == pytest.approx(0.75)
    assert figures.headlines.beyond_control is not None
    assert 0 < figures.headlines.beyond_control.mean < 1


def test_model_that_only_answers_the_most_common_keywords_is_not_promoted() -> None:
    figures = evaluate(any_evidence("cat, sofa, colour 0, colour 1")).figures

    assert figures.gate is not None
    assert not figures.gate.passed
    assert figures.gate.reasons == [
        "it is not significantly better than always answering with the most common keywords"
    ]
    assert figures.headlines.beyond_control is not None
    assert figures.headlines.beyond_control.mean <= 0


def test_model_equal_to_base_has_no_significant_gain() -> None:
    gate = evaluate(any_evidence("dog, sea, sky")).figures.gate

    assert gate is not None
    assert not gate.passed
    assert len(gate.reasons) == 3


def test_gate_requires_the_interval_to_exceed_the_margin() -> None:
    gate = evaluate(replace(any_evidence(), gate_margin=0.8)).figures.gate

    assert gate is not None
    assert gate.reasons == ["the 95 % interval of the gain starts at +0.750, not above +0.800"]


def test_without_base_there_is_no_gate() -> None:
    figures = evaluate(replace(any_evidence(), base=None)).figures

    assert figures.gate is figures.keywords is figures.headlines.gap_closed is figures.jaccard.base is None
    assert figures.tests == {}
    assert figures.headlines.beyond_control is not None


def test_scores_are_named_by_training_size() -> None:
    evidence = any_evidence()
    figures = evaluate(replace(evidence, tuned={f"n{size}": evidence.tuned["n8"] for size in (8, 16, 32)})).figures

    assert list(figures.jaccard.tuned) == list(figures.jaccard_unnormalised.tuned) == ["n8", "n16", "n32"]
    assert list(figures.tests) == ["n8", "n16", "n32"]
    assert figures.curve is not None
    assert figures.curve.next_size == 64


def test_near_duplicates_are_counted_as_one_group() -> None:
    evidence = any_evidence(images=6)
    figures = evaluate(replace(evidence, groups=dict.fromkeys(evidence.labels, "i0"))).figures

    assert (figures.test_images, figures.test_groups) == (6, 1)


def test_flex_tier_halves_the_price_of_the_teacher_but_not_of_the_student() -> None:
    answers = {"i0": answer("cat", image="i0").model_copy(update={"usage": Usage(input_tokens=1000, output_tokens=0)})}
    models = {"teacher": "amazon.nova-pro-v1:0", "base": "amazon.nova-lite-v1:0"}
    evidence = Evidence(labels=answers, tuned={"n8": answers}, base=answers, models=models)
    standard, flex = (evaluate(replace(evidence, tier=tier)).figures.serving for tier in ("default", "flex"))

    assert standard["teacher"].usd_per_1000 is not None
    assert flex["teacher"].usd_per_1000 == pytest.approx(standard["teacher"].usd_per_1000 / 2)
    assert flex["base"] == standard["base"]
    assert standard["n8"].usd_per_1000 is None


def test_answers_are_also_compared_with_the_owners_labels() -> None:
    gold = {f"i{number}": answer(f"cat, thing {number}", image=f"i{number}") for number in range(10)}
    figures = evaluate(replace(any_evidence("cat, sofa, thing {}"), gold=gold)).figures

    assert figures.gold is not None
    assert figures.gold.images == 10
    means = {name: score.mean for name, score in figures.gold.jaccard.items()}
    assert means == pytest.approx({"teacher": 0.5, "base": 0, "n8": 2 / 3, "ceiling": 0.5})
    assert evaluate(any_evidence()).figures.gold is None
