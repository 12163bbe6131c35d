from __future__ import annotations

import pytest

from distillation.errors import InvalidRequest
from distillation.photos.listing import check_photo_count, list_collection
from tests.support.fakes import bucket
from tests.support.stored import read_lines


@pytest.mark.parametrize("name", ["labels.csv", "vocabulary.csv"])
def test_upload_of_own_labels_or_a_vocabulary_changes_the_listing_of_a_collection(name: str) -> None:
    photos, data = bucket(**{"holiday/01.jpg": b"x"}), bucket()
    before = list_collection("holiday-1", photos, "holiday/", "", data)
    photos.write(f"holiday/{name}", b"photo,label")
    after = list_collection("holiday-1", photos, "holiday/", before.digest, data)

    assert (after.photos, after.settled) == (1, False)
    assert list_collection("holiday-1", photos, "holiday/", after.digest, data).settled


def test_settled_listing_is_stored_without_files_that_are_not_photos() -> None:
    names = ["holiday/a\nb.jpg", "holiday/distill.json", "holiday/é.jpg"]
    photos, data = bucket(**dict.fromkeys(names, b"x")), bucket()
    first = list_collection("holiday-1", photos, "holiday/", "", data)
    assert list(data.keys("")) == []

    list_collection("holiday-1", photos, "holiday/", first.digest, data)

    assert [line["photo"] for line in read_lines(data, "runs/holiday-1/listing.jsonl")] == [names[0], names[2]]


def test_collection_with_more_photos_than_the_stage_allows_is_refused() -> None:
    check_photo_count("holiday/", 25_000, 25_000)
    message = "contains 25,001 photos, more than the stage's max_photos 25,000"
    with pytest.raises(InvalidRequest, match=message):
        check_photo_count("holiday/", 25_001, 25_000)
