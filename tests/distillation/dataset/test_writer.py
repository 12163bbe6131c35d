from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from distillation import keys
from distillation.dataset.validator import validate_files
from distillation.dataset.writer import training_record, write_dataset
from distillation.documents import DatasetHashes
from distillation.errors import DistillationError, ObjectDamaged, ObjectMissing, TooFewImages
from distillation.events import DatasetResult
from distillation.photos import splits
from distillation.records import Run
from distillation.storage import Bucket
from tests.distillation.dataset.generated_records import NOVA_1, errors, lines
from tests.support.builders import any_run, image_names
from tests.support.fakes import bucket
from tests.support.resized_collection import images_to_label, resized_collection, rounds
from tests.support.stored import read_lines

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
    train = list(read_lines(data, keys.split_key(run.name, "train")))

    assert write_dataset(run, 0, [len(train)], data).records == [len(train)]


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

    # The function adds the remedy to ObjectMissing.
    assert error is ObjectMissing or "Start the run again" in str(raised.value)
    assert list(data.keys(keys.dataset_prefix(run.name))) == []


def test_part_without_one_of_the_samples_of_an_image_is_incomplete() -> None:
    run, data = labelled_run(samples=2)
    write_dataset(run, 0, [20], data)
    cut_off(data, parts(data)[0])

    with pytest.raises(ObjectMissing, match=f"s3://data/{parts(data)[0]} was deleted or cut off"):
        write_dataset(run, 0, [20], data)


class GrowingRun:
    """A run of 300 images that trains on 20, 60 and all training images."""

    def __init__(self, **request: Any) -> None:
        self.run = any_run(grow=True, **({"grow_from": 20, "tolerance": 0.5} | request))
        self.data = resized_collection(image_names(300))
        splits.split(self.run, self.data, bucket())
        self.train = [line["image"] for line in read_lines(self.data, keys.split_key(self.run.name, "train"))]

    def label(self, number: int, refused: Collection[str] = ()) -> None:
        """Write the labels of a round."""
        images = [line["image"] for line in read_lines(self.data, rounds(self.data)[number].to_label_key)]
        line = {"answerer": "teacher"}
        valid, invalid = {"status": "ok", "text": "cat, sofa, window"}, {"status": "refused", "reason": "no"}
        answers = [line | {"image": image} | (invalid if image in refused else valid) for image in images]
        self.data.write_lines(keys.part_key(self.run.name, "label", f"round-{number}"), answers)

    def write(self, number: int) -> DatasetResult:
        """Write and validate the dataset of a round."""
        result = write_dataset(self.run, number, rounds(self.data)[number].sizes, self.data)
        validate_files(self.run, dict(zip(result.sizes, result.records, strict=True)), result.validation, self.data)
        return result

    def files(self) -> dict[str, bytes]:
        prefix = keys.dataset_prefix(self.run.name)
        return {key.removeprefix(prefix): self.data.read(key) for key in self.data.keys(prefix)}

    def hashes(self) -> dict[str, str]:
        return self.data.read_document(keys.dataset_hashes_key(self.run.name), DatasetHashes).sha256


def test_later_round_writes_the_files_of_earlier_rounds_again_byte_by_byte_and_validates_all_of_them() -> None:
    growing = GrowingRun()
    refused = growing.train[12]
    growing.label(0)
    growing.label(1, [refused])
    first = growing.write(1)
    written, hashes = growing.files(), growing.hashes()
    growing.label(2, growing.train[30:32])
    second = growing.write(2)
    growing.label(3)
    last = growing.write(3)

    assert (first.sizes, second.sizes, last.sizes) == ([20], [20, 60], [20, 60, len(growing.train)])
    assert (first.records, second.records, last.records) == ([19], [19, 57], [19, 57, len(growing.train) - 3])
    assert first.validation == second.validation == last.validation > 0
    assert [first.set_aside, second.set_aside, last.set_aside] == [1, 3, 3]
    files = growing.files()
    assert set(written) == {"train-20.jsonl", "validation.jsonl", "hashes.json"}
    assert {name: files[name] for name in ("train-20.jsonl", "validation.jsonl")} == {
        name: written[name] for name in ("train-20.jsonl", "validation.jsonl")
    }
    assert refused.encode() not in files["train-20.jsonl"] + files[f"train-{len(growing.train)}.jsonl"]
    assert files["train-60.jsonl"].startswith(files["train-20.jsonl"].rstrip())
    assert {key: growing.hashes()[key] for key in hashes} == hashes
    assert len(growing.hashes()) == 4


def test_round_needs_the_labels_of_all_rounds_up_to_it_and_of_none_after_it() -> None:
    growing = GrowingRun()
    growing.label(0)
    with pytest.raises(ObjectMissing, match="images have no line of the teacher"):
        growing.write(1)
    growing.label(1)

    assert growing.write(1).records == [20]
    with pytest.raises(ObjectMissing, match="40 of 40 images have no line of the teacher"):
        growing.write(2)


def test_validation_images_are_labelled_in_the_first_training_round() -> None:
    growing = GrowingRun()
    validation = {line["image"] for line in read_lines(growing.data, keys.split_key(growing.run.name, "validation"))}
    lists = [{line["image"] for line in read_lines(growing.data, r.to_label_key)} for r in rounds(growing.data)]

    assert [validation & images for images in lists] == [set(), validation, set(), set()]


def test_refused_labels_that_leave_a_size_below_the_minimum_are_named_with_the_size() -> None:
    growing = GrowingRun(grow_from=8)
    growing.label(0, growing.train[:1])
    growing.label(1)

    with pytest.raises(TooFewImages, match=r"7 of the first 8 training images have a label, but .* at least 8 records"):
        growing.write(1)
    assert growing.files() == {}
