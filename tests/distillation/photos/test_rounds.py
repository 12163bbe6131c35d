from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from distillation import keys
from distillation.errors import InvalidRequest, TooFewImages
from distillation.photos.rounds import CEILING_IMAGES, RoundLists, growth_sizes, plan_rounds
from distillation.photos.splits import split
from distillation.records import Run, SetName, SplitLine, Until
from tests.support.builders import any_run, image_names
from tests.support.fakes import bucket
from tests.support.resized_collection import images_to_label, resized_collection, rounds
from tests.support.stored import read_lines

NOVA_2_LITE = "us.amazon.nova-2-lite-v1:0"


def sets_of(train: int, validation: int = 0, test: int = 20) -> dict[SetName, list[SplitLine]]:
    """Return sets with these numbers of images, which are named after their set."""
    counts: dict[SetName, int] = {"train": train, "validation": validation, "test": test}
    return {
        name: [
            SplitLine(image=f"{name}-{n}", group=f"{name}-{n}", photo="p", width=9, height=6, set=name)
            for n in range(count)
        ]
        for name, count in counts.items()
    }


def plan(
    train: int, validation: int = 0, test: int = 20, student: str | None = None, **request: Any
) -> list[RoundLists]:
    run = any_run(**request)
    if student:
        run = run.model_copy(update={"student": student})
    return plan_rounds(run, sets_of(train, validation, test))


def names(lines: Sequence[SplitLine]) -> list[str]:
    return [line.image for line in lines]


@pytest.mark.parametrize(
    ("first", "available", "sizes"),
    [
        (300, 18_000, [300, 900, 2_700, 8_100, 18_000]),
        (300, 20_000, [300, 900, 2_700, 8_100, 20_000]),
        (300, 1_349, [300, 1_349]),
        (300, 1_350, [300, 900, 1_350]),
        (300, 901, [300, 901]),
        (300, 450, [300, 450]),
        (300, 449, [449]),
        (300, 301, [301]),
        (300, 300, [300]),
        (300, 100, [100]),
        (8, 65, [8, 24, 65]),
    ],
)
def test_each_size_is_about_three_times_the_one_before_and_the_last_one_has_all_images(
    first: int, available: int, sizes: list[int]
) -> None:
    assert growth_sizes(first, available) == sizes


@pytest.mark.parametrize("first", [8, 50, 300])
def test_no_step_of_growth_is_smaller_than_one_and_a_half_or_larger_than_four_and_a_half_times(first: int) -> None:
    for available in range(first + 1, 5_000):
        sizes = growth_sizes(first, available)
        steps = [later / earlier for earlier, later in pairwise(sizes)]

        assert sizes[-1] == available
        # Only the last step differs from three times.
        assert set(steps[:-1]) <= {3.0}
        assert all(1.5 <= step < 4.5 for step in steps)
        assert steps or available < 1.5 * first


def test_run_that_grows_labels_in_each_round_only_what_the_round_needs() -> None:
    sets = sets_of(4_000, validation=400, test=500)
    baseline, first, second, last = plan_rounds(any_run(), sets)
    train, validation, test = (names(sets[name]) for name in ("train", "validation", "test"))

    compared = test[:CEILING_IMAGES]
    assert (baseline.kind, baseline.sizes, names(baseline.to_label)) == ("baseline", [], [*compared, *train[:8]])
    assert names(baseline.to_predict) == compared
    assert [lists.kind for lists in (first, second, last)] == ["training"] * 3
    assert [lists.sizes for lists in (first, second, last)] == [[300], [300, 900], [300, 900, 4_000]]
    assert names(first.to_label) == [*train[8:300], *validation, *test[CEILING_IMAGES:]]
    assert names(second.to_label) == train[300:900]
    assert names(last.to_label) == train[900:]
    assert names(first.to_predict) == test
    assert names(second.to_predict) == names(last.to_predict) == [*test, *validation]


def test_first_test_images_alone_are_for_the_ceiling() -> None:
    for lists in plan(2_000, validation=200, test=500):
        assert names([line for line in lists.to_predict if line.ceiling]) == [
            f"test-{n}" for n in range(CEILING_IMAGES)
        ]


@pytest.mark.parametrize(
    ("train", "request_fields", "sizes"),
    [
        (1_000, {}, [[1_000]]),
        (1_001, {}, [[300], [300, 1_001]]),
        (1_001, {"grow": False}, [[1_001]]),
        (1_001, {"train_sizes": [900, 300]}, [[300, 900]]),
        (400, {"grow": True, "grow_from": 50}, [[50], [50, 150], [50, 150, 400]]),
        (200, {"grow": True}, [[200]]),
        (1_001, {"until": "Estimate"}, [[300], [300, 1_001]]),
        (1_001, {"until": "LabelImages"}, [[1_001]]),
        (1_001, {"until": "ValidateDataset"}, [[1_001]]),
        (1_001, {"until": "LabelImages", "grow": True}, [[300], [300, 1_001]]),
    ],
)
def test_run_grows_above_1000_images_or_on_request(
    train: int, request_fields: dict[str, Any], sizes: list[list[int]]
) -> None:
    planned = plan(train, **request_fields)

    assert [lists.sizes for lists in planned if lists.kind == "training"] == sizes
    labelled = [image for lists in planned for image in names(lists.to_label)]
    assert len(labelled) == len(set(labelled)) == sizes[-1][-1] + 20


@pytest.mark.parametrize(
    ("until", "baseline", "measured"),
    [
        (None, True, True),
        (None, False, False),
        ("Estimate", True, True),
        ("Estimate", False, False),
        ("Baseline", True, True),
        ("Baseline", False, True),
        ("LabelImages", True, False),
        ("ValidateDataset", True, False),
    ],
)
def test_run_measures_the_alternatives_unless_it_stops_after_its_labels(
    until: Until | None, baseline: bool, measured: bool
) -> None:
    assert (plan(100, until=until, baseline=baseline)[0].kind == "baseline") == measured


def test_training_and_validation_images_of_the_last_round_are_at_most_the_records_of_the_family() -> None:
    *_, last = plan(25_000, validation=500)

    assert last.sizes[-1] == 19_500
    assert names(last.to_label)[-1] == "train-19499"


@pytest.mark.parametrize(
    ("train", "request_fields", "error", "message"),
    [
        (199, {}, TooFewImages, r"199 training images are left .* needs at least 200 records. Add photos, lower"),
        (37, {"sample": 50}, TooFewImages, r"37 training images are left .* Raise sample, lower test_share or raise"),
        (300, {"train_sizes": [100]}, InvalidRequest, r"train_sizes: 100 images give fewer than the 200 records"),
        (
            300,
            {"grow": True, "grow_from": 150},
            InvalidRequest,
            r"grow_from: 150 images give fewer than the 200 records that .* needs. Raise grow_from or",
        ),
    ],
)
def test_size_below_the_minimum_of_the_family_is_refused(
    train: int, request_fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan(train, student=NOVA_2_LITE, **request_fields)


@pytest.mark.parametrize("until", ["Baseline", "LabelImages"])
def test_run_that_trains_nothing_needs_no_minimum_so_that_a_prompt_can_be_tried_on_few_images(until: Until) -> None:
    planned = plan(37, test=13, student=NOVA_2_LITE, sample=50, until=until)

    assert len([image for lists in planned for image in names(lists.to_label)]) == 50


def run_with_own_labels(own_labels: str) -> tuple[Run, list[str]]:
    run = any_run(own_labels=own_labels).model_copy(update={"collection": ""})
    data = resized_collection(image_names(60))
    rows = "".join(f'p{number:04},"cat, sofa, lamp"\n' for number in range(0, 60, 2))
    split(run, data, bucket(**{"labels.csv": f"photo,label\n{rows}".encode()}))
    for round_ in rounds(data):
        assert round_.to_label == len(list(read_lines(data, round_.to_label_key)))
    assert len(list(read_lines(data, keys.own_labels_key(run.name)))) == 30
    return run, images_to_label(data)


def test_image_with_an_own_label_is_labelled_in_no_round_unless_own_labels_are_for_comparison() -> None:
    assert sorted(run_with_own_labels("train")[1]) == image_names(60)[1::2]
    assert sorted(run_with_own_labels("gold")[1]) == image_names(60)


def test_split_writes_the_rounds_with_their_counts_and_lists() -> None:
    data = resized_collection(image_names(1_600))
    result = split(any_run(), data, bucket())
    baseline, first, last = rounds(data)

    assert [round_.number for round_ in (baseline, first, last)] == [0, 1, 2]
    assert baseline.to_label == CEILING_IMAGES + 8
    assert first.to_label == 300 - 8 + result.validation + result.test - CEILING_IMAGES
    assert last.to_label == result.train - 300
    assert len(images_to_label(data)) == len(set(images_to_label(data))) == 1_600
    assert baseline.to_label_key == keys.split_key("holiday-1", "to-label-0")
    assert last.to_predict_key == keys.split_key("holiday-1", "to-predict-2")
