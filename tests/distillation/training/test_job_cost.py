from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from distillation import keys
from distillation.costs import calibration
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import measure_workload
from distillation.documents import Rounds
from distillation.inference.reservation import maximum_usd
from distillation.inference.untuned import untuned_labeler
from distillation.photos.rounds import CEILING_IMAGES
from distillation.records import Prompt
from distillation.storage import Bucket
from distillation.training.job_cost import job_ledger_part, maximum_prediction_usd
from tests.support.builders import any_run, bucket_after_split
from tests.support.fakes import bucket
from tests.support.training_jobs import labelled_bucket

EPOCHS = 5
BILLED = {"input_tokens": 1000, "output_tokens": 50}


def bucket_with_labels(usage: dict[str, int] | None) -> Bucket:
    """Return a Data bucket with 12 training images of 900 x 600 pixels, whose labels were billed ``usage``."""
    data = bucket_after_split()
    label: dict[str, Any] = {"answerer": "teacher", "status": "ok", "text": "a, b, c", "usage": usage}
    labels = [label | {"image": f"{number:064x}"} for number in range(12)]
    data.write_lines(keys.part_key("holiday-1", "label", "1"), labels)
    return data


def record_tokens(answer: float) -> float:
    """Return the tokens of a record of Nova Lite: the text, 448 of an image as in the published bill, the answer."""
    return calibration.text_tokens(any_run().student_prompt) + 448 + answer


def test_answer_of_a_record_is_as_long_as_its_label_was_billed_for() -> None:
    cost = job_ledger_part(any_run(), 12, bucket_with_labels(BILLED))

    assert cost.training_tokens == pytest.approx(12 * record_tokens(50) * EPOCHS, abs=EPOCHS)
    assert cost.usd == pytest.approx(cost.training_tokens * 2 / 1e6)


def test_smaller_size_has_the_tokens_of_its_first_images() -> None:
    tokens = job_ledger_part(any_run(), 6, bucket_with_labels(BILLED)).training_tokens

    assert tokens == pytest.approx(6 * record_tokens(50) * EPOCHS, abs=EPOCHS)


def test_image_whose_label_was_refused_is_left_out_of_its_size() -> None:
    data = bucket_with_labels(BILLED)
    lines = [json.loads(line) for line in data.read(keys.part_key("holiday-1", "label", "1")).splitlines()]
    lines[0] |= {"status": "refused", "reason": "r"}
    data.write_lines(keys.part_key("holiday-1", "label", "1"), lines)

    tokens = job_ledger_part(any_run(), 6, data).training_tokens
    assert tokens == pytest.approx(5 * record_tokens(50) * EPOCHS, abs=EPOCHS)


def test_answer_whose_label_was_not_billed_has_the_length_that_the_estimate_expects() -> None:
    cost = job_ledger_part(any_run(), 12, bucket_with_labels(None))

    assert cost.training_tokens == pytest.approx(12 * record_tokens(120) * EPOCHS, abs=EPOCHS)


def test_ledger_has_the_training_cost_that_the_estimate_expects() -> None:
    run, data = any_run(train_sizes=[12], baseline=False), bucket_with_labels(None)
    round_ = data.read_document(keys.rounds_key(run.name), Rounds).rounds[-1]
    estimate = estimate_run(run, measure_workload(run, round_, data), {}, datetime.date(2026, 9, 1))

    assert job_ledger_part(run, 12, data).usd == pytest.approx(estimate.by_step["TrainModels"].expected, rel=1e-3)


def test_job_has_the_same_cost_after_another_run_was_measured() -> None:
    data = bucket_with_labels(None)
    before = job_ledger_part(any_run(), 12, data)
    for model in ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"):
        measured = calibration.Calibration(
            model=model, run="r", answers=1, image_factor=0.1, labeler="labeler", answer_tokens=10
        )
        calibration.save(measured, data)

    assert job_ledger_part(any_run(), 12, data) == before


def test_record_is_counted_with_the_prompt_of_the_student() -> None:
    run = any_run().model_copy(update={"student_prompt": Prompt(system="s" * 400, user="u" * 400)})
    longer, shorter = (job_ledger_part(run_, 12, bucket_with_labels(BILLED)) for run_ in (run, any_run()))
    added = 200 + 10 - calibration.text_tokens(any_run().student_prompt)

    assert longer.training_tokens - shorter.training_tokens == pytest.approx(12 * EPOCHS * added, abs=EPOCHS)


def test_job_that_did_not_train_costs_nothing() -> None:
    cost = job_ledger_part(any_run(), 12, bucket_with_labels(BILLED), trained=False)

    assert (cost.training_tokens, cost.usd) == (0, 0)


def test_each_training_size_adds_to_the_maximum_cost_of_predictions() -> None:
    data = labelled_bucket()
    two_sizes = maximum_prediction_usd(any_run(), data)
    data.write(keys.dataset_key("holiday-1", "train-8"), b"")

    assert maximum_prediction_usd(any_run(), data) > two_sizes > 0


def test_damaged_label_does_not_fail_a_size_whose_job_may_be_running() -> None:
    data = labelled_bucket()
    billed = job_ledger_part(any_run(), 12, data)
    data.write(keys.part_key("holiday-1", "label", "1"), b"\xff")

    assert job_ledger_part(any_run(), 12, data).usd == pytest.approx(billed.usd, rel=0.5)


def test_training_costs_the_same_if_a_part_of_the_labels_is_deleted_while_it_runs() -> None:
    data = labelled_bucket()
    data.client.objects.pop(keys.part_key("holiday-1", "label", "1"))  # type: ignore[attr-defined] - MemoryS3

    assert job_ledger_part(any_run(), 12, data) == job_ledger_part(any_run(), 12, labelled_bucket())


def predictions_of(test: int = 0, validation: int = 0, sizes: tuple[int, ...] = (12,)) -> Bucket:
    """Return the bucket of a run whose datasets of ``sizes`` are written, with this many test and validation images."""
    data = bucket()
    for name, count in (("test", test), ("validation", validation)):
        images = [f"{name}-{number}" for number in range(count)]
        lines = [
            {"image": image, "photo": image, "group": image, "width": 900, "height": 600, "set": name}
            for image in images
        ]
        data.write_lines(keys.split_key("holiday-1", name), lines)
    for size in sizes:
        data.write(keys.dataset_key("holiday-1", f"train-{size}"), b"")
    return data


def test_ceiling_is_paid_for_its_own_test_images_only() -> None:
    run = any_run()
    few, many = (maximum_prediction_usd(run, predictions_of(test)) for test in (CEILING_IMAGES, CEILING_IMAGES + 100))

    assert many - few == pytest.approx(maximum_usd(run, run.student, run.teacher, 2 * 100), abs=1e-6)


def test_validation_images_are_paid_for_if_the_size_is_chosen_on_them() -> None:
    run = any_run()
    without, validated = (maximum_prediction_usd(run, predictions_of(20, images, (6, 12))) for images in (0, 60))

    assert validated - without == pytest.approx(maximum_usd(run, run.student, run.teacher, 2 * 60), abs=1e-6)
    assert maximum_prediction_usd(run, predictions_of(20, 60)) == maximum_prediction_usd(run, predictions_of(20))


def test_answers_of_earlier_rounds_need_no_budget_before_the_next_job() -> None:
    run, data = any_run(), predictions_of(20, sizes=(6, 12))
    base = untuned_labeler(run, run.student, run.student_prompt)
    for number in range(20):
        image = f"test-{number}"
        data.write(keys.label_key(base.id, image, 0), b"")
        data.write(keys.label_key(run.ceiling.id, image, run.ceiling_sample), b"")
        data.write(keys.prediction_key(run.name, "n6", image), b"")

    assert maximum_prediction_usd(run, data) == pytest.approx(maximum_usd(run, run.student, run.teacher, 20), abs=1e-6)
