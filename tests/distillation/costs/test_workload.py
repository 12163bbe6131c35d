from __future__ import annotations

import pytest

from distillation import keys
from distillation.costs.workload import measure_workload, predict_workload
from distillation.errors import InvalidRequest, ObjectDamaged, TooFewImages
from tests.support.builders import any_run, bucket_after_split


def test_stored_labels_and_second_answers_cost_nothing() -> None:
    run, data = any_run(), bucket_after_split(labelled=15)
    work = measure_workload(run, [12], data)

    assert (len(work.to_label), work.labels_reused, len(work.to_ask_for_ceiling)) == (5, 15, 8)
    assert (work.images, work.photos, work.predicted) == (20, 21, False)
    data.write(keys.label_key("ceiling", f"{12:064x}", 1), b"{}")
    assert len(measure_workload(run, [12], data).to_ask_for_ceiling) == 7


def test_predicted_sets_have_the_shares_of_split() -> None:
    work = predict_workload(any_run(samples_per_image=2, temperature=0.5), [(900, 600)] * 400, 0)

    assert (len(work.train), len(work.test), work.sizes, work.images) == (270, 100, [270], 400)
    assert len(work.to_label) == 2 * 400
    assert work.predicted


@pytest.mark.parametrize(("sizes", "images", "validation"), [([20, 40], 800, 60), ([40], 800, 0), ([20, 40], 600, 0)])
def test_validation_images_are_asked_about_only_to_choose_a_size(
    sizes: list[int], images: int, validation: int
) -> None:
    run = any_run(train_sizes=sizes)
    assert len(predict_workload(run, [(900, 600)] * images, 0).validation) == validation

    data = bucket_after_split(validation=images // 10)
    assert len(measure_workload(run, sizes, data).validation) == (images // 10 if len(sizes) > 1 else 0)


def test_predicted_sets_are_spread_evenly_over_the_photos() -> None:
    work = predict_workload(any_run(), [(900, 600)] * 50 + [(600, 900)] * 50, 0)

    assert {size: work.test.count(size) for size in work.test} == {(900, 600): 13, (600, 900): 12}


def test_prediction_refuses_what_split_would_refuse() -> None:
    with pytest.raises(TooFewImages, match="19 usable images"):
        predict_workload(any_run(), [(900, 600)] * 19, 0)
    with pytest.raises(InvalidRequest, match="train_sizes: 4 images give fewer than the 8 records"):
        predict_workload(any_run(train_sizes=[4]), [(900, 600)] * 100, 0)


@pytest.mark.parametrize("name", ["train", "test"])
def test_set_that_was_cut_off_is_not_estimated(name: str) -> None:
    data = bucket_after_split()
    data.write(keys.split_key("holiday-1", name), b"")

    with pytest.raises(ObjectDamaged, match=rf"splits/{name}\.jsonl has 0 images, but Split wrote \d+.* again"):
        measure_workload(any_run(), [12], data)
