from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from distillation.answers.formats import ClassLabel
from distillation.answers.formats.keywords import Keywords
from distillation.documents import SizeChoice
from distillation.evaluation.evaluation import SIGNIFICANCE, AnswersByImage, Evidence, evaluate
from distillation.records import Usage
from distillation.statistical_power import minimum_detectable_difference
from tests.distillation.evaluation.answers import answer, any_evidence


def test_model_that_sees_the_images_passes_the_gate() -> None:
    figures = evaluate(any_evidence("cat, sofa, thing {}")).figures

    assert figures.gate is not None
    assert figures.gate.passed
    assert figures.agreement.tuned["n8"].mean == pytest.approx(0.75)
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
    assert figures.gate.over_control is not None
    assert figures.agreement.control is not None
    over_control = figures.agreement.tuned[figures.best].mean - figures.agreement.control.mean
    assert figures.gate.over_control.mean == pytest.approx(over_control)
    assert figures.gate.over_control.low <= 0


def test_model_equal_to_base_has_no_significant_gain() -> None:
    gate = evaluate(any_evidence("dog, sea, sky")).figures.gate

    assert gate is not None
    assert not gate.passed
    assert len(gate.reasons) == 3


def test_gate_requires_the_interval_to_exceed_the_margin() -> None:
    gate = evaluate(replace(any_evidence(), gate_margin=0.8)).figures.gate

    assert gate is not None
    assert gate.reasons == ["the 95 % interval of the gain starts at +0.750, not above +0.800"]


def refused(lines: AnswersByImage, images: Iterable[str]) -> AnswersByImage:
    """Return answers of which those about ``images`` are not valid."""
    return {**lines, **{image: lines[image].model_copy(update={"status": "refused"}) for image in images}}


def test_model_whose_answers_are_half_invalid_is_not_promoted() -> None:
    evidence = any_evidence()
    half = [f"i{number}" for number in range(12)]
    figures = evaluate(replace(evidence, tuned={"n8": refused(evidence.tuned["n8"], half)})).figures

    assert figures.gate is not None
    assert not figures.gate.passed
    assert figures.gate.reasons[0] == (
        "12 of 24 answers are valid (base: 24), fewer than the 98 % that gate_validity requires"
    )
    assert figures.agreement.tuned["n8"].mean == pytest.approx(0.75 / 2)


def test_share_just_below_the_required_one_is_not_rounded_up_to_it() -> None:
    evidence = any_evidence()
    tuned = {"n8": refused(evidence.tuned["n8"], ["i0"])}
    gate = evaluate(replace(evidence, tuned=tuned, gate_validity=0.9584)).figures.gate

    assert gate is not None
    assert gate.reasons == ["23 of 24 answers are valid (base: 24), fewer than the 95.84 % that gate_validity requires"]


@pytest.mark.parametrize(("required", "passed"), [(0.95, True), (0.98, False)])
def test_gate_requires_the_share_of_valid_answers_that_was_requested(required: float, passed: bool) -> None:
    evidence = any_evidence()
    tuned = {"n8": refused(evidence.tuned["n8"], ["i0"])}
    gate = evaluate(replace(evidence, tuned=tuned, gate_validity=required)).figures.gate

    assert gate is not None
    assert gate.passed == passed


def test_invalid_answers_of_base_and_ceiling_score_zero_too() -> None:
    evidence = any_evidence()
    half = [f"i{number}" for number in range(12)]
    base = {image: answer("cat, sofa", image=image) for image in evidence.labels}
    figures = evaluate(replace(evidence, base=refused(base, half), ceiling=refused(evidence.labels, half))).figures

    assert figures.agreement.base is not None
    assert figures.agreement.base.mean == pytest.approx(0.5 / 2)
    assert figures.agreement.ceiling is not None
    assert figures.agreement.ceiling.mean == pytest.approx(0.5)


def test_number_of_keywords_is_measured_but_not_part_of_the_gate() -> None:
    figures = evaluate(replace(any_evidence(), answer_format=Keywords(keywords_min=4, keywords_max=9))).figures

    assert figures.gate is not None
    assert figures.gate.passed
    assert figures.metrics["n8"]["within_limits"].mean == 0
    assert figures.metrics["ceiling"]["within_limits"].mean == 1
    assert "within_limits" not in evaluate(any_evidence()).figures.metrics["n8"]


def evidence_with_validation(images: int) -> Evidence:
    """Return answers of two sizes: ``n8`` is better on the test images, ``n16`` on ``images`` validation images."""
    evidence = any_evidence()
    names = [f"v{number}" for number in range(images)]
    labels = {name: answer(f"cat, sofa, {name}", image=name) for name in names}
    weaker = {name: answer(f"cat, thing {number}", image=name) for number, name in enumerate(evidence.labels)}
    tuned = {
        "n8": {**evidence.tuned["n8"], **{name: answer("dog", image=name) for name in names}},
        "n16": {**weaker, **labels},
    }
    return replace(evidence, tuned=tuned, validation=labels)


def test_size_is_chosen_on_50_validation_images_and_its_p_value_is_not_corrected() -> None:
    figures = evaluate(evidence_with_validation(50)).figures

    assert figures.best == "n16"
    assert figures.size_choice == SizeChoice(set="validation", images=50, agreement={"n8": 0, "n16": 1})
    assert figures.gate is not None
    assert figures.gate.p == figures.tests["n16"].p < figures.tests["n16"].p_holm
    assert figures.test_images == 24


def test_size_is_chosen_on_the_test_images_with_fewer_than_50_validation_images() -> None:
    figures = evaluate(evidence_with_validation(49)).figures

    assert figures.best == "n8"
    assert figures.size_choice is not None
    assert (figures.size_choice.set, figures.size_choice.images) == ("test", 24)
    assert figures.gate is not None
    assert figures.gate.p == figures.tests["n8"].p_holm
    assert evaluate(any_evidence()).figures.size_choice is None


def test_gain_over_the_control_must_be_significant_after_the_correction_for_several_sizes() -> None:
    evidence = any_evidence(images=6)
    one, three = (
        evaluate(replace(evidence, tuned={f"n{size}": evidence.tuned["n8"] for size in sizes})).figures.gate
        for sizes in ((8,), (8, 16, 32))
    )
    reason = "it is not significantly better than always answering with the most common keywords"

    assert one is not None
    assert one.passed
    assert three is not None
    assert reason in three.reasons


def test_disagreement_of_interval_and_permutation_test_is_explained() -> None:
    small = evaluate(any_evidence(images=5)).figures.gate

    assert small is not None
    assert small.gain.low > 0
    assert small.p is not None
    assert small.p > SIGNIFICANCE
    assert small.disagreement is not None
    assert "the test set is small (5 independent groups of images)" in small.disagreement
    large = evaluate(any_evidence()).figures.gate
    assert large is not None
    assert large.disagreement is None


def test_disagreement_by_the_correction_for_several_sizes_is_explained() -> None:
    evidence = any_evidence(images=6)
    sizes = {f"n{size}": evidence.tuned["n8"] for size in (8, 16, 32)}
    gate = evaluate(replace(evidence, tuned=sizes)).figures.gate

    assert gate is not None
    assert gate.disagreement is not None
    assert "the p value is corrected for 3 sizes" in gate.disagreement


def test_minimum_detectable_gain_uses_the_measured_standard_deviation() -> None:
    evidence = any_evidence()
    half = [f"i{number}" for number in range(12)]
    even, uneven = (
        evaluate(replace(evidence, tuned={"n8": lines})).figures
        for lines in (evidence.tuned["n8"], refused(evidence.tuned["n8"], half))
    )

    assert even.gain_sd is None
    assert even.detectable == minimum_detectable_difference(24, 0.1)
    assert uneven.gain_sd is not None
    assert uneven.gain_sd == pytest.approx(0.383, abs=1e-3)
    assert uneven.detectable == minimum_detectable_difference(24, uneven.gain_sd)
    without_base = evaluate(replace(evidence, base=None)).figures
    assert without_base.gain_sd is None
    assert without_base.detectable == minimum_detectable_difference(24, 0.1)


def with_partial_ceiling(evidence: Evidence, images: int) -> Evidence:
    """Return the evidence with answers of the ceiling about the first images only; every third of them is wrong."""
    names = list(evidence.labels)[:images]
    ceiling = {
        name: answer("dog" if number % 3 == 0 else evidence.labels[name].text, image=name)
        for number, name in enumerate(names)
    }
    return replace(evidence, ceiling=ceiling, ceiling_images=set(names))


def test_ceiling_of_some_test_images_is_compared_with_the_others_on_these_images() -> None:
    evidence = any_evidence()
    tuned = {"n8": refused(evidence.tuned["n8"], ["i20"])}  # An image that the ceiling was not asked about.
    evidence = replace(evidence, tuned=tuned)
    partial = evaluate(with_partial_ceiling(evidence, 9))
    names = list(evidence.labels)[:9]
    alone = evaluate(
        replace(
            with_partial_ceiling(evidence, 9),
            labels={name: evidence.labels[name] for name in names},
            training=evidence.training or evidence.labels,
        )
    ).figures
    without = evaluate(replace(evidence, ceiling=None)).figures
    figures = partial.figures

    assert (figures.ceiling_images, figures.test_images) == (9, 24)
    assert figures.agreement.ceiling == alone.agreement.ceiling
    assert figures.metrics["ceiling"] == alone.metrics["ceiling"]
    assert figures.headlines == alone.headlines
    assert figures.headlines.gap_closed is not None
    assert (
        figures.gate,
        figures.tests,
        figures.agreement.tuned,
        figures.agreement.control,
        figures.agreement.floor,
    ) == (
        without.gate,
        without.tests,
        without.agreement.tuned,
        without.agreement.control,
        without.agreement.floor,
    )
    assert [math.isnan(score) for score in partial.per_image["ceiling"]] == [False] * 9 + [True] * 15


def test_ceiling_of_all_test_images_gives_the_same_figures_whether_or_not_they_are_listed() -> None:
    evidence = any_evidence()

    assert evaluate(replace(evidence, ceiling_images=set(evidence.labels))).figures == evaluate(evidence).figures
    assert evaluate(replace(evidence, ceiling=None)).figures.ceiling_images is None


def test_ceiling_none_of_whose_images_has_a_label_is_left_out() -> None:
    figures = evaluate(replace(any_evidence(), ceiling_images={"other"})).figures

    assert figures.ceiling_images is figures.agreement.ceiling is figures.headlines.gap_closed is None


def test_owners_labels_are_compared_with_the_ceiling_on_its_images_only() -> None:
    gold = {f"i{number}": answer(f"cat, thing {number}", image=f"i{number}") for number in range(10)}
    evidence = replace(any_evidence("cat, sofa, thing {}"), gold=gold)
    figures = evaluate(replace(evidence, ceiling_images={f"i{number}" for number in range(5)})).figures

    assert figures.gold is not None
    assert figures.gold.images == 10
    assert figures.gold.agreement["ceiling"].mean == pytest.approx(0.5)


def test_without_base_there_is_no_gate() -> None:
    figures = evaluate(replace(any_evidence(), base=None)).figures

    assert figures.gate is figures.headlines.gap_closed is figures.agreement.base is None
    assert figures.tests == {}
    assert figures.headlines.beyond_control is not None


def test_scores_are_named_by_training_size() -> None:
    evidence = any_evidence()
    figures = evaluate(replace(evidence, tuned={f"n{size}": evidence.tuned["n8"] for size in (8, 16, 32)})).figures

    assert list(figures.agreement.tuned) == ["n8", "n16", "n32"]
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
    evidence = Evidence(answer_format=Keywords(), labels=answers, tuned={"n8": answers}, base=answers, models=models)
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
    means = {name: score.mean for name, score in figures.gold.agreement.items()}
    assert means == pytest.approx({"teacher": 0.5, "base": 0, "n8": 2 / 3, "ceiling": 0.5})
    assert evaluate(any_evidence()).figures.gold is None


def test_models_are_compared_with_the_label_of_the_training_image_that_looks_most_similar() -> None:
    evidence = any_evidence()
    training = {"t0": answer("cat, sea", image="t0"), "t1": answer("cat, sofa", image="t1")}
    hashes = {**dict.fromkeys(evidence.labels, "0001"), "t0": "ffff", "t1": "0003"}
    figures = evaluate(replace(evidence, training=training, hashes=hashes)).figures

    # Two of four keywords are copied; the tuned model has three.
    assert figures.agreement.nearest is not None
    assert figures.agreement.nearest.mean == 0.5
    assert figures.over_nearest is not None
    assert figures.over_nearest.mean == pytest.approx(0.25)
    assert evaluate(evidence).figures.over_nearest is None


def test_score_of_the_most_similar_image_is_in_the_table_of_scores_but_not_part_of_the_gate() -> None:
    evidence = any_evidence()
    hashes = {**dict.fromkeys(evidence.labels, "0001"), "t0": "0001"}
    training = {"t0": answer("cat, sofa, thing 1, colour 1", image="t0")}
    evaluation = evaluate(replace(evidence, training=training, hashes=hashes))

    assert evaluation.per_image["nearest"][:3] == [pytest.approx(2 / 6), 1, pytest.approx(2 / 6)]
    assert evaluation.figures.gate == evaluate(replace(evidence, training=training)).figures.gate


def test_report_counts_the_keywords_of_teacher_and_best_model_that_a_vocabulary_replaced_and_lacks() -> None:
    evidence = any_evidence("cat, kitty, thing {}, extra", images=4)
    vocabulary = {"feline": ["cat", "kitty"], "sofa": []} | {f"thing {number}": [] for number in range(4)}
    training = {"t": answer("feline", image="t").model_copy(update={"answered": ["kitty, lamp", "cat, lamp"]})}
    refused = {"r": answer("cat", status="refused", image="r")}
    answer_format = Keywords(vocabulary=vocabulary, closed_vocabulary=True)
    tables = evaluate(replace(evidence, answer_format=answer_format, training=training | refused)).figures.tables
    replaced, outside = tables[-2:]

    assert replaced.columns == ["keyword", "preferred term", "teacher", "n8"]
    assert replaced.rows == [["cat", "feline", 5, 4], ["kitty", "feline", 1, 4]]
    assert outside.rows[:2] == [["extra", 0, 4], ["lamp", 2, 0]]


def test_tables_of_the_format_have_every_answerer_and_the_control() -> None:
    def lines(*labels: str) -> AnswersByImage:
        return {f"i{number}": answer(label, image=f"i{number}") for number, label in enumerate(labels)}

    evidence = Evidence(
        answer_format=ClassLabel(labels=["cat", "dog"]),
        labels=lines("cat", "dog", "dog", "cat"),
        tuned={"n8": lines("cat", "dog", "cat", "cat")},
        base=lines("dog", "dog", "bird", "cat"),
        ceiling=lines("cat", "dog"),
        ceiling_images=["i0", "i1"],
        training=lines("dog", "dog", "cat"),
    )
    by_answerer, *_ = evaluate(evidence).figures.tables

    assert [row[:3] for row in by_answerer.rows] == [
        ["base", 4, 0.5],
        ["n8", 4, 0.75],
        ["ceiling", 2, 1],
        ["control", 4, 0.5],
    ]
