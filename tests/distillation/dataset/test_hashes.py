from __future__ import annotations

import pytest

from distillation import keys
from distillation.dataset.hashes import check_hash, read_hashes
from distillation.dataset.validator import validate_files
from distillation.dataset.writer import training_record
from distillation.errors import DatasetRejected, ObjectDamaged, ObjectMissing
from distillation.records import Run
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket

TRAIN = keys.dataset_key("holiday-1", "train-20")
VALIDATION = keys.dataset_key("holiday-1", "validation")


@pytest.fixture
def validated() -> tuple[Run, Bucket]:
    """Return a run and its bucket after ValidateDataset."""
    run, data = any_run(), bucket()
    for key, images in ((TRAIN, range(20)), (VALIDATION, range(20, 25))):
        records = [training_record(run, data.name, f"{n:064x}", "cat, sofa, window") for n in images]
        data.write_lines(key, records)
    validate_files(run, {20: 20}, 5, data)
    return run, data


def test_hash_of_every_validated_file_is_stored(validated: tuple[Run, Bucket]) -> None:
    run, data = validated

    hashes = read_hashes(run, data)

    assert hashes.sha256.keys() == {TRAIN, VALIDATION}
    for key in hashes.sha256:
        check_hash(key, hashes, data)


@pytest.mark.parametrize("key", [TRAIN, VALIDATION])
def test_file_that_changed_after_validation_is_rejected(key: str, validated: tuple[Run, Bucket]) -> None:
    run, data = validated
    data.write(key, data.read(key)[:-1])

    with pytest.raises(DatasetRejected, match=f"s3://data/{key} is not the file that ValidateDataset checked"):
        check_hash(key, read_hashes(run, data), data)


def test_file_that_was_not_validated_is_rejected(validated: tuple[Run, Bucket]) -> None:
    run, data = validated
    data.write("runs/holiday-1/dataset/train-99.jsonl", data.read(TRAIN))

    with pytest.raises(DatasetRejected, match="instead of none"):
        check_hash("runs/holiday-1/dataset/train-99.jsonl", read_hashes(run, data), data)


def test_missing_hashes_are_an_error() -> None:
    with pytest.raises(ObjectMissing, match=r"dataset/hashes\.json"):
        read_hashes(any_run(), bucket())


def test_dataset_that_is_rejected_has_no_hashes(validated: tuple[Run, Bucket]) -> None:
    run, data = any_run(), bucket(**{TRAIN: b"{}\n"})

    with pytest.raises(DatasetRejected):
        validate_files(run, {20: 20}, 5, data)

    assert data.get_or_none(keys.dataset_hashes_key(run.name)) is None


@pytest.mark.parametrize("key", [TRAIN, VALIDATION])
def test_file_with_fewer_records_than_were_written_is_not_validated(key: str, validated: tuple[Run, Bucket]) -> None:
    run, data = validated
    data.write(key, b"".join(list(data.iter_lines(key))[:-1]))

    with pytest.raises(ObjectDamaged, match=rf"s3://data/{key} has \d+ records, but WriteDataset wrote .* again"):
        validate_files(run, {20: 20}, 5, data)


def test_deleted_validation_file_is_not_left_out(validated: tuple[Run, Bucket]) -> None:
    run, data = validated

    with pytest.raises(ObjectDamaged, match=r"dataset/validation\.jsonl has 5 records, but WriteDataset wrote 6"):
        validate_files(run, {20: 20}, 6, data)
