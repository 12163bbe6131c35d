from __future__ import annotations

import pytest

from distillation import keys
from distillation.dataset.validator import DatasetValidator, reject_invalid
from distillation.dataset.writer import write_dataset
from distillation.errors import InvalidRequest, TooFewImages
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters, record_count
from distillation.records import SplitLine
from distillation.storage import Bucket
from distillation.training.job_cost import job_ledger_part
from tests.support.builders import any_run, write_sets
from tests.support.fakes import bucket

TRAIN = keys.dataset_key("holiday-1", "train-12")


def labelled(images: int = 12) -> Bucket:
    """Return a bucket with a training set whose images have labels."""
    data = bucket()
    names = [f"{number:064x}" for number in range(images)]
    lines = [SplitLine(image=name, photo="p", group=name, width=900, height=600, set="train") for name in names]
    labels = [{"image": name, "answerer": "teacher", "status": "ok", "text": f"a {name}, b, c"} for name in names]
    write_sets(any_run(baseline=False), {"train": lines, "validation": [], "test": []}, data)
    data.write_lines(keys.part_key("holiday-1", "label", "1"), labels)
    photo = {"status": "ok", "set": "train", "labelled_by": "teacher"}
    data.write_lines(keys.inventory_key("holiday-1"), [photo | {"photo": name, "image": name} for name in names])
    data.write_lines(keys.listing_key("holiday-1"), [{"photo": name} for name in names])
    return data


@pytest.mark.parametrize(
    ("student", "images", "steps"),
    [
        ("amazon.nova-lite-v1:0", 100, "0"),
        ("amazon.nova-lite-v1:0", 1600, "10"),
        ("amazon.nova-pro-v1:0", 1600, "5"),
        ("amazon.nova-lite-v1:0", 20_000, "100"),
    ],
)
def test_warm_up_steps_grow_with_the_dataset_as_aws_advises(student: str, images: int, steps: str) -> None:
    run = any_run().model_copy(update={"student": student})

    assert job_hyperparameters(run, images)["learningRateWarmupSteps"] == steps


@pytest.mark.parametrize(
    ("images", "epochs"), [(8, "5"), (999, "5"), (1000, "2"), (5000, "2"), (5001, "1"), (20_000, "1")]
)
def test_epochs_fall_with_the_number_of_records(images: int, epochs: str) -> None:
    assert job_hyperparameters(any_run(), images)["epochCount"] == epochs


def test_repeated_records_count_for_the_epochs_and_requested_epochs_are_used() -> None:
    assert job_hyperparameters(any_run(duplicate_records=2), 500)["epochCount"] == "2"
    assert job_hyperparameters(any_run(hyperparameters={"epochCount": 4}), 20_000)["epochCount"] == "4"


def test_requested_warm_up_steps_are_used() -> None:
    run = any_run(hyperparameters={"learningRateWarmupSteps": 7, "epochCount": 3})

    assert job_hyperparameters(run, 1600) == {
        "epochCount": "3",
        "learningRate": "0.00001",
        "learningRateWarmupSteps": "7",
    }
    with pytest.raises(InvalidRequest, match="learningRateWarmupSteps must be a whole number from 0 to 100"):
        job_hyperparameters(any_run(hyperparameters={"learningRateWarmupSteps": 101}), 12)


def test_records_of_a_small_size_are_repeated_and_the_dataset_is_valid() -> None:
    data, run = labelled(), any_run(duplicate_records=3)
    written = write_dataset(run, 0, [12], data)
    lines = data.read(TRAIN).splitlines(keepends=True)

    assert (written.sizes, written.records, len(lines)) == ([12], [36], 36)
    assert lines[:12] == lines[12:24] == lines[24:]
    assert len(set(lines)) == 12
    reject_invalid(TRAIN, DatasetValidator(catalog.get_family("nova-v1"), "data").problems(lines))


def test_repeats_are_paid_for_and_a_large_size_is_not_repeated() -> None:
    once = job_ledger_part(any_run(), 12, labelled())

    assert job_ledger_part(any_run(duplicate_records=3), 12, labelled()).training_tokens == 3 * once.training_tokens > 0
    assert record_count(any_run(duplicate_records=10).request, 999) == 9990
    assert record_count(any_run(duplicate_records=10).request, 1000) == 1000


def test_repeats_count_toward_the_minimum_of_a_family() -> None:
    run = any_run().model_copy(update={"student": "us.amazon.nova-2-lite-v1:0"})
    with pytest.raises(TooFewImages, match="requires at least 200 records"):
        write_dataset(run, 0, [20], labelled(20))
    run = any_run(duplicate_records=10).model_copy(update={"student": "us.amazon.nova-2-lite-v1:0"})

    assert write_dataset(run, 0, [20], labelled(20)).records == [200]
