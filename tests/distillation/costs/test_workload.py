from __future__ import annotations

import pytest

from distillation import keys
from distillation.costs.workload import RoundWork, measure_workload, predict_workload
from distillation.documents import Rounds
from distillation.errors import InvalidRequest, ObjectDamaged, TooFewImages
from distillation.inference.untuned import untuned_labeler
from distillation.records import Prompt, Run
from distillation.storage import Bucket
from tests.support.builders import any_run, bucket_after_split

NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LANDSCAPE = (900, 600)


def measured(run: Run, data: Bucket, number: int = 0) -> list[RoundWork]:
    return measure_workload(run, data.read_document(keys.rounds_key(run.name), Rounds).rounds[number], data).rounds


def questions(work: RoundWork) -> dict[str, int]:
    return {asked.answerer: len(asked.images) for asked in work.predictions}


def predicted(images: int = 100, **request: object) -> list[RoundWork]:
    return predict_workload(any_run(**request), [LANDSCAPE] * images, 0).rounds


def test_stored_labels_and_second_answers_cost_nothing() -> None:
    run = any_run(baseline=False)
    data = bucket_after_split(labelled=15, run=run)
    (work,) = measured(run, data)

    assert (len(work.to_label), work.labels_reused) == (5, 15)
    assert questions(work) == {"base": 8, "n12": 8, "ceiling": 8}
    data.write(keys.label_key("ceiling", f"{12:064x}", 1), b"{}")
    data.write(keys.label_key(untuned_labeler(run, run.student, run.student_prompt).id, f"{13:064x}", 0), b"{}")
    assert questions(measured(run, data)[0]) == {"base": 7, "n12": 8, "ceiling": 7}


def test_measured_workload_begins_with_the_round_that_starts_next() -> None:
    run = any_run()
    data = bucket_after_split(run=run)
    round_ = data.read_document(keys.rounds_key(run.name), Rounds).rounds[1]
    work = measure_workload(run, round_, data)

    assert [work_.number for work_ in work.rounds] == [1]
    assert (work.images, work.photos, work.test, work.predicted) == (20, 21, 8, False)
    assert work.rounds[0].photos == 0


def test_round_labels_and_asks_only_what_no_earlier_round_did() -> None:
    baseline, first, second = predicted(grow=True, grow_from=30)

    assert (baseline.kind, baseline.sizes, len(baseline.to_label)) == ("baseline", [], 25 + 8)
    assert questions(baseline) == {"base": 25, "examples": 25, "ceiling": 25}
    assert (first.sizes, len(first.to_label), questions(first)) == ([30], 22, {"base": 0, "n30": 25, "ceiling": 0})
    assert (second.sizes, len(second.to_label)) == ([75], 45)
    assert questions(second) == {"base": 0, "n30": 0, "n75": 25, "ceiling": 0}
    assert [work.photos for work in (baseline, first, second)] == [100, 0, 0]


def test_ceiling_and_alternatives_are_asked_about_at_most_200_test_images() -> None:
    baseline, training = predicted(1600)[:2]

    assert questions(baseline) == {"base": 200, "examples": 200, "ceiling": 200}
    assert questions(training) == {"base": 200, "n300": 400, "ceiling": 0}


def test_other_students_are_asked_with_the_prompt_of_the_teacher() -> None:
    run = any_run().model_copy(update={"alternatives": [NOVA_2]})
    same, _ = predict_workload(run, [LANDSCAPE] * 100, 0).rounds
    assert questions(same) == {"base": 25, NOVA_2: 25, "examples": 25, "ceiling": 25}

    short = Prompt(system="s", user="u")
    other, _ = predict_workload(run.model_copy(update={"student_prompt": short}), [LANDSCAPE] * 100, 0).rounds
    prompts = {asked.answerer: asked.prompt for asked in other.predictions}
    assert prompts == {
        "base": short,
        run.student: run.prompt,
        NOVA_2: run.prompt,
        "examples": run.prompt,
        "ceiling": run.prompt,
    }


def test_stored_answers_of_other_students_cost_nothing() -> None:
    run = any_run().model_copy(update={"alternatives": [NOVA_2]})
    data = bucket_after_split(run=run)
    data.write(keys.label_key(untuned_labeler(run, NOVA_2, run.prompt).id, f"{12:064x}", 0), b"{}")

    assert questions(measured(run, data)[0])[NOVA_2] == 7


def test_predicted_sets_have_the_shares_of_split() -> None:
    work = predict_workload(any_run(samples_per_image=2, temperature=0.5, baseline=False), [LANDSCAPE] * 400, 0)

    assert (len(work.rounds[0].train), work.test, work.rounds[0].sizes, work.images) == (270, 100, [270], 400)
    assert len(work.rounds[0].to_label) == 2 * 400
    assert work.predicted


def test_prediction_has_the_caps_and_the_sample_of_split() -> None:
    work = predict_workload(any_run(), [LANDSCAPE] * 20_000, 0)
    assert (work.test, len(work.rounds[0].train)) == (500, 19_000)
    assert [work_.sizes for work_ in work.rounds] == [[], [300], [900], [2700], [8100], [19_000]]

    sample = predict_workload(any_run(sample=50), [LANDSCAPE] * 1000, 0)
    assert (sample.images, sample.photos, sample.test) == (50, 1000, 12)


@pytest.mark.parametrize(("sizes", "images", "validation"), [([20, 40], 800, 60), ([40], 800, 0), ([20, 40], 600, 0)])
def test_validation_images_are_asked_about_only_to_choose_a_size(
    sizes: list[int], images: int, validation: int
) -> None:
    run = any_run(train_sizes=sizes, baseline=False)
    (work,) = predict_workload(run, [LANDSCAPE] * images, 0).rounds
    assert questions(work)["n40"] == images // 4 + validation
    assert questions(work)["base"] == images // 4


def test_growing_run_asks_the_earlier_size_about_validation_images_in_its_second_round() -> None:
    _, first, second, *_ = predicted(1600)

    assert questions(first)["n300"] == 400
    assert (questions(second)["n300"], questions(second)["n1080"]) == (120, 400 + 120)


def test_predicted_sets_are_spread_evenly_over_the_photos() -> None:
    work = predict_workload(any_run(), [LANDSCAPE] * 50 + [(600, 900)] * 50, 0)
    ceiling = work.rounds[0].predictions[-1].images

    assert {size: list(ceiling).count(size) for size in ceiling} == {LANDSCAPE: 13, (600, 900): 12}


def test_prediction_refuses_what_split_would_refuse() -> None:
    with pytest.raises(TooFewImages, match="19 usable images"):
        predict_workload(any_run(), [LANDSCAPE] * 19, 0)
    with pytest.raises(InvalidRequest, match="train_sizes: 4 images give fewer than the 8 records"):
        predict_workload(any_run(train_sizes=[4]), [LANDSCAPE] * 100, 0)


@pytest.mark.parametrize("name", ["train", "test"])
def test_set_that_was_cut_off_is_not_estimated(name: str) -> None:
    data = bucket_after_split()
    data.write(keys.split_key("holiday-1", name), b"")

    with pytest.raises(ObjectDamaged, match=rf"splits/{name}\.jsonl has 0 images, but Split wrote \d+.* again"):
        measured(any_run(), data)
