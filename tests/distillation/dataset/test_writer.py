from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from distillation import keys
from distillation.dataset.writer import training_record, write_dataset
from distillation.errors import DistillationError, ObjectDamaged, ObjectMissing
from distillation.photos import splits
from distillation.records import Run
from distillation.storage import Bucket
from tests.distillation.dataset.generated_records import NOVA_1, errors, lines
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.resized_collection import image_names, images_to_label, resized_collection

LABELS = b'photo,label\np0000,"cat, sofa, lamp"\np0001,"dog, lawn, ball"\n'


def labelled_run(samples: int = 1) -> tuple[Run, Bucket]:
    """Return a run of 60 images, two of which have own labels, after LabelImages with batches of 10 images."""
    fields: dict[str, Any] = {"samples_per_image": samples, "temperature": 0.5, "own_labels": "train"}
    run = any_run(baseline=False, **fields).model_copy(update={"images_per_batch": 10, "collection": ""})
    data = resized_collection(image_names(60))
    splits.split(run, data, bucket(**{"labels.csv": LABELS}))
    images = images_to_label(data)
    for start in range(0, len(images), 10):
        batch = images[start : start + 10]
        answers = [
            {"image": image, "answerer": "teacher", "status": "ok", "text": "cat, sofa, window", "sample": sample}
            for sample in range(samples)
            for image in batch
        ]
        data.write_lines(keys.part_key(run.name, "label", keys.batch_id(batch)), answers)
    return run, data


def cut_off(data: Bucket, key: str, lines: int = 1) -> None:
    """Remove the last lines of an object."""
    data.write(key, b"".join(data.read(key).splitlines(keepends=True)[:-lines]))


def delete(data: Bucket, key: str) -> None:
    del data.client.objects[key]  # type: ignore[attr-defined]


def parts(data: Bucket) -> list[str]:
    return list(data.keys(keys.parts_prefix("holiday-1", "label")))


def test_written_records_are_valid() -> None:
    record = training_record(any_run(), "data", "a" * 64, "cat, sofa, window")

    assert errors(lines([record] * 8), NOVA_1, "data") == []


def test_dataset_has_a_record_for_each_training_image() -> None:
    run, data = labelled_run()
    train = list(data.read_lines(keys.split_key(run.name, "train")))

    assert write_dataset(run, 0, [len(train)], data).records == len(train)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda data: delete(data, parts(data)[0]), ObjectMissing, r"of 58 images have no line of the teacher\. First"),
        (lambda data: cut_off(data, parts(data)[0]), ObjectMissing, "1 of 58 images have no line of the teacher"),
        (lambda data: data.write(parts(data)[0], b""), ObjectMissing, "of 58 images have no line of the teacher"),
        (lambda data: data.write(parts(data)[2], b"\xff"), ObjectDamaged, r"work/holiday-1/label/\w+\.jsonl line 1 is"),
        (lambda data: cut_off(data, "runs/holiday-1/splits/train.jsonl"), ObjectDamaged, r"splits/train\.jsonl has"),
        (
            lambda data: delete(data, "runs/holiday-1/splits/train.jsonl"),
            ObjectMissing,
            r"splits/train\.jsonl does not",
        ),
        (lambda data: cut_off(data, "runs/holiday-1/inventory.jsonl"), ObjectDamaged, "has no line of 1 of 60 photos"),
        (lambda data: delete(data, "runs/holiday-1/listing.jsonl"), ObjectMissing, r"listing\.jsonl does not exist"),
        (lambda data: delete(data, "runs/holiday-1/own-labels.jsonl"), ObjectDamaged, "has no label of 2 of 2 images"),
        (lambda data: cut_off(data, "runs/holiday-1/own-labels.jsonl"), ObjectDamaged, "has no label of 1 of 2 images"),
    ],
)
def test_missing_input_is_named_instead_of_training_on_less(
    damage: Callable[[Bucket], None], error: type[DistillationError], message: str
) -> None:
    run, data = labelled_run()
    damage(data)

    with pytest.raises(error, match=message) as raised:
        write_dataset(run, 0, [20], data)

    assert "Start the run again" in str(raised.value) or "does not exist" in str(raised.value)
    assert list(data.keys(keys.dataset_prefix(run.name))) == []


def test_part_without_one_of_the_samples_of_an_image_is_incomplete() -> None:
    run, data = labelled_run(samples=2)
    write_dataset(run, 0, [20], data)
    cut_off(data, parts(data)[0])

    with pytest.raises(ObjectMissing, match=f"s3://data/{parts(data)[0]} was deleted or cut off"):
        write_dataset(run, 0, [20], data)
