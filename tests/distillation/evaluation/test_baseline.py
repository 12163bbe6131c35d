from __future__ import annotations

from typing import Any

import pytest

from distillation import keys
from distillation.documents import Baseline, BreakEven, Interval, Rounds
from distillation.errors import ObjectMissing, ToleranceExceeded
from distillation.evaluation.baseline import MINIMUM_GROUPS, baseline_recommendation, write_baseline
from distillation.inference.alternatives import NOT_ASKED
from distillation.records import AnswerLine, InventoryLine, Run, SetName, SplitLine, Usage
from distillation.storage import Bucket
from tests.support.builders import any_baseline, any_estimate, any_interval, any_run, any_split_facts, write_sets
from tests.support.fakes import bucket

LITE_2 = "us.amazon.nova-2-lite-v1:0"
OTHER = "us.amazon.nova-2-lite-v1-0"
SAME = "cat, sofa, thing {0}, colour {0}"
HALF = "cat, sofa, dog, sea"
"""Shares two of six keywords with the label."""


def run_of(**request: Any) -> Run:
    return any_run(**request).model_copy(update={"alternatives": [LITE_2]})


def measured(run: Run, texts: dict[str, str], *, test: int = 40, label: str = SAME) -> Bucket:
    """Return the bucket of a run after its baseline round.

    ``texts`` are the answers by answerer; ``{0}`` is the number of the image. Every fifth answer is the label.
    """
    data = bucket()
    names: list[SetName] = ["train" if number < 8 else "test" for number in range(8 + test)]
    lines = [
        SplitLine(
            image=f"{number:064x}", photo=f"h/{number}.jpg", group=f"{number:064x}", width=60, height=40, set=name
        )
        for number, name in enumerate(names)
    ]
    inventory = [
        InventoryLine(photo=line.photo, status="ok", image=line.image, set=line.set, labelled_by="teacher")
        for line in lines
    ]
    write(data, keys.inventory_key(run.name), inventory)
    data.write_lines(keys.listing_key(run.name), [{"photo": line.photo} for line in lines])
    sets: dict[SetName, list[SplitLine]] = {"train": lines[:8], "validation": [], "test": lines[8:]}
    write_sets(run, sets, data)
    data.write_document(keys.estimate_key(run.name), any_estimate())
    labels = [line_of("teacher", number, label.format(number)) for number in range(len(lines))]
    write(data, keys.part_key(run.name, "label", "1"), labels)
    images = [line.image for line in lines[8:]]
    answers = [
        line_of(answerer, number, (SAME if number % 5 == 0 else text).format(number))
        for answerer, text in texts.items()
        for number in range(8, len(lines))
    ]
    write(data, keys.part_key(run.name, "baseline", keys.batch_id(images)), answers)
    return data


def line_of(answerer: str, number: int, text: str) -> AnswerLine:
    valid = text != "invalid"
    return AnswerLine(
        image=f"{number:064x}",
        answerer=answerer,
        status="ok" if valid else "refused",
        text=text,
        reason=None if valid else "the answer is no list",
        usage=Usage(input_tokens=1000, output_tokens=100),
    )


def write(data: Bucket, key: str, lines: list[Any]) -> None:
    data.write_lines(key, [line.model_dump(exclude_none=True) for line in lines])


def test_alternatives_are_compared_with_the_ceiling_on_its_images() -> None:
    run = run_of()
    baseline = write_baseline(run, measured(run, {"base": "dog, sea", OTHER: HALF, "ceiling": SAME}))
    base, other = baseline.alternatives

    assert (baseline.test_images, baseline.test_groups, baseline.labels_refused) == (40, 40, 0)
    assert (base.name, other.name, other.label) == ("base", OTHER, "Nova 2 Lite")
    assert base.agreement.mean == pytest.approx(0.2)
    assert other.agreement.mean == pytest.approx(0.2 + 0.8 * 2 / 6)
    assert (baseline.ceiling.mean, baseline.best) == (1, OTHER)
    assert baseline.gap.mean == pytest.approx(1 - other.agreement.mean)
    assert baseline.worth_training


def test_prices_are_those_of_1000_answers_and_of_the_teachers_cheapest_tier() -> None:
    run = run_of()
    baseline = write_baseline(run, measured(run, {"base": HALF, OTHER: HALF, "ceiling": SAME}))

    # Nova Lite $0.06 and $0.24, Nova 2 Lite $0.33 and $2.75, Nova Pro on flex $0.40 and $1.60 for a million tokens.
    assert [row.usd_per_1000 for row in baseline.alternatives] == pytest.approx([0.06 + 0.024, 0.33 + 0.275])
    assert baseline.teacher_usd_per_1000 == pytest.approx(0.40 + 0.16)


def test_baseline_of_local_models_has_no_prices_and_no_break_even() -> None:
    run = run_of()
    local = run.teacher.model_copy(update={"model": "local.teacher-pixels-v1:0"})
    run = run.model_copy(
        update={"teacher": local, "ceiling": local, "student": "local.student-pixels-v1:0", "alternatives": []}
    )
    baseline = write_baseline(run, measured(run, {"base": HALF, "ceiling": SAME}))

    assert [row.usd_per_1000 for row in baseline.alternatives] == [None]
    assert baseline.teacher_usd_per_1000 is None
    assert baseline.recommendation.usd is None
    assert "$" not in baseline.recommendation.text


def test_invalid_answers_count_as_such_and_score_0() -> None:
    run = run_of()
    baseline = write_baseline(run, measured(run, {"base": "invalid", OTHER: HALF, "ceiling": SAME}))
    base = baseline.alternatives[0]

    assert base.valid.mean == base.agreement.mean == pytest.approx(0.2)


def test_training_is_not_worth_it_only_if_the_upper_bound_of_the_gap_is_below_minimum_gap() -> None:
    texts = {"base": "cat, sofa, thing {0}", OTHER: HALF, "ceiling": SAME}
    gap = write_baseline(run_of(), measured(run_of(), texts)).gap
    at, above = run_of(minimum_gap=gap.high), run_of(minimum_gap=gap.high + 1e-9)

    assert gap.mean < gap.high < 0.5
    assert write_baseline(at, measured(at, texts)).worth_training
    assert not write_baseline(above, measured(above, texts)).worth_training


def test_interval_of_the_gap_is_wider_if_the_best_was_chosen_from_several_alternatives() -> None:
    run = any_run()
    alone = write_baseline(run, measured(run, {"base": HALF, "ceiling": SAME})).gap
    several = write_baseline(run_of(), measured(run_of(), {"base": HALF, OTHER: "dog", "ceiling": SAME})).gap

    assert alone.mean == several.mean
    assert several.low < alone.low < alone.high < several.high


@pytest.mark.parametrize(("images", "worth_training"), [(MINIMUM_GROUPS - 1, True), (MINIMUM_GROUPS, False)])
def test_few_test_images_never_end_a_run(images: int, worth_training: bool) -> None:
    run = run_of()
    baseline = write_baseline(run, measured(run, {"base": SAME, OTHER: HALF, "ceiling": SAME}, test=images))

    assert baseline.gap.high == 0
    assert baseline.worth_training == worth_training
    assert (baseline.recommendation.action == "cannot tell") == worth_training


def test_model_that_could_not_be_asked_is_left_out_with_a_note() -> None:
    run = run_of()
    data = measured(run, {"base": HALF, "ceiling": SAME})
    key = next(data.keys(keys.parts_prefix(run.name, "baseline")))
    lines = list(data.read_records(key, AnswerLine))
    reason = f"{NOT_ASKED}no access to the model"
    lines += [
        AnswerLine(image=line.image, answerer=OTHER, status="refused", reason=reason)
        for line in lines
        if line.answerer == "base"
    ]
    write(data, key, lines)
    baseline = write_baseline(run, data)

    assert [row.name for row in baseline.alternatives] == ["base"]
    assert baseline.notes == ["Nova 2 Lite is left out: no access to the model"]


@pytest.mark.parametrize("lost", ["base", OTHER, "ceiling"])
def test_missing_answers_are_named(lost: str) -> None:
    run = run_of()
    texts = {"base": HALF, OTHER: HALF, "ceiling": SAME}
    data = measured(run, {name: text for name, text in texts.items() if name != lost})
    part = next(data.keys(keys.parts_prefix(run.name, "baseline")))
    with pytest.raises(ObjectMissing, match=rf"40 of 40 images have no line of {lost}.*{part} was deleted or cut off"):
        write_baseline(run, data)


def test_run_without_any_usable_label_is_told_to_change_its_prompt() -> None:
    run = run_of()
    data = measured(run, {"base": HALF, OTHER: HALF, "ceiling": SAME}, label="invalid")
    with pytest.raises(ToleranceExceeded, match=r"none of 40 test images has a usable label. First: .*no list"):
        write_baseline(run, data)


def refuse_labels(run: Run, data: Bucket, count: int) -> Bucket:
    """Replace the labels of the first ``count`` of 40 test images by answers that are not valid."""
    labels = [
        line_of("teacher", number, "invalid" if 8 <= number < 8 + count else SAME.format(number))
        for number in range(48)
    ]
    write(data, keys.part_key(run.name, "label", "1"), labels)
    return data


def test_run_whose_refused_labels_already_exceed_the_tolerance_stops_before_it_pays_for_the_others() -> None:
    texts = {"base": HALF, OTHER: "dog, sea", "ceiling": SAME}
    run, asked_to_stop = run_of(tolerance=0.1), run_of(tolerance=0.1, until="Baseline")
    with pytest.raises(
        ToleranceExceeded, match=r"5 of 48 labels were set aside.* First: h/8.jpg: the answer is no list"
    ):
        write_baseline(run, refuse_labels(run, measured(run, texts), 5))

    assert write_baseline(run, refuse_labels(run, measured(run, texts), 4)).labels_refused == 4
    assert write_baseline(asked_to_stop, refuse_labels(asked_to_stop, measured(run, texts), 5)).labels_refused == 5


def test_labels_of_the_first_training_round_count_among_those_that_may_be_refused() -> None:
    texts = {"base": HALF, OTHER: "dog, sea", "ceiling": SAME}
    run = run_of(tolerance=0.1)
    data = refuse_labels(run, measured(run, texts), 5)
    rounds = data.read_document(keys.rounds_key(run.name), Rounds).rounds
    larger = [rounds[0], rounds[1].model_copy(update={"to_label": 2})]
    data.write_document(keys.rounds_key(run.name), Rounds(rounds=larger))

    assert write_baseline(run, data).labels_refused == 5


def test_baseline_and_its_answers_are_stored_with_the_run() -> None:
    run = run_of()
    data = measured(run, {"base": HALF, OTHER: HALF, "ceiling": SAME})
    baseline = write_baseline(run, data)

    assert data.read_document(keys.baseline_key(run.name), Baseline) == baseline
    stored = {
        name: list(data.read_records(keys.predictions_key(run.name, name), AnswerLine)) for name in ("base", OTHER)
    }
    assert [len(lines) for lines in stored.values()] == [40, 40]


def gap_of(low: float, mean: float, high: float) -> Interval:
    return Interval(mean=mean, ci95=(low, high))


SMALL_GAP: dict[str, Any] = {"gap": gap_of(-0.01, 0.01, 0.03), "worth_training": False}
BREAK_EVEN = BreakEven(
    teacher_usd_per_1000=0.65,
    student_usd_per_1000=0.09,
    storage_usd_per_month=1.95,
    storage_images_per_month=3482,
    images=None,
    images_per_month=1000,
    months=None,
    verdict="At 1,000 images a month the teacher on flex costs $0.65; do not distil.",
)


@pytest.mark.parametrize(
    ("fields", "action", "text"),
    [
        ({}, "train", "could still close up to 0.40 of agreement (95 % CI "),
        (SMALL_GAP, "use an alternative", "Do not distil: Nova Lite is within 0.03 of the ceiling, for $0.09 instead"),
        (SMALL_GAP | {"teacher_usd_per_1000": None}, "use an alternative", "Nova Lite is within 0.03 of the ceiling."),
        (SMALL_GAP | {"teacher_usd_per_1000": 0.08}, "use the teacher", "but the teacher costs no more ($0.08 per"),
        ({"labels_refused": 50}, "fix the prompt", "50 of 250 labels of the teacher are not valid"),
        ({"ceiling_valid": gap_of(0.7, 0.8, 0.89)}, "fix the prompt", "only 80 % of the teacher's second answers"),
        ({"ceiling": gap_of(0.2, 0.3, 0.39)} | SMALL_GAP, "fix the prompt", "an agreement of 0.30 only"),
        ({"ceiling": gap_of(0.2, 0.3, 0.41)}, "train", "Train: Nova Lite is the best alternative"),
        ({"test_groups": 19}, "cannot tell", "Cannot tell with 19 independent test images"),
    ],
)
def test_recommendation_follows_from_the_figures(fields: dict[str, Any], action: str, text: str) -> None:
    recommendation = baseline_recommendation(any_baseline(**fields))

    assert recommendation.action == action
    assert text in recommendation.text


def test_recommendation_to_train_has_its_price_and_what_it_could_gain() -> None:
    recommendation = baseline_recommendation(any_baseline(), 2.1)

    assert (recommendation.usd, recommendation.effect) == (2.1, any_interval(0.4))
    assert recommendation.text.endswith("The first training round costs about $2.10.")


def test_training_that_never_pays_at_a_known_volume_is_not_recommended() -> None:
    recommendation = baseline_recommendation(any_baseline(), 2.1, BREAK_EVEN)

    assert recommendation.action == "use the teacher"
    assert recommendation.text == f"Do not distil. {BREAK_EVEN.verdict}"
    unknown_volume = BREAK_EVEN.model_copy(update={"images": any_estimate().range, "images_per_month": None})
    assert baseline_recommendation(any_baseline(), 2.1, unknown_volume).action == "train"


def test_too_few_test_images_are_no_reason_to_train_what_never_pays() -> None:
    few = any_baseline(test_groups=19)

    assert baseline_recommendation(few, 2.1, BREAK_EVEN).text == f"Do not distil. {BREAK_EVEN.verdict}"


def test_images_that_the_sample_left_out_come_before_new_photos() -> None:
    run = run_of(sample=20, test_share=0.5)
    data = measured(run, {"base": HALF, OTHER: HALF, "ceiling": SAME}, test=12)
    texts = []
    for not_sampled in (0, 980):
        data.write_document(keys.split_facts_key(run.name), any_split_facts(not_sampled=not_sampled))
        texts.append(write_baseline(run, data).recommendation.text)

    assert texts[0].endswith("at least 20 are needed. Add photos, or train to find out.")
    assert texts[1].endswith("at least 20 are needed. Raise sample, or train to find out.")
