from __future__ import annotations

import pytest

from distillation import keys
from distillation.errors import AccessDenied, EmptyCollection, ObjectMissing, ToleranceExceeded
from distillation.events import S3Item
from distillation.photos.inventory import DELETED, NOT_READABLE, REPLACED_RAW, check_refused_photos, read_resize_results
from distillation.photos.listing import list_collection
from distillation.photos.resize_batch import resize_batch
from distillation.records import InventoryLine
from distillation.storage import Bucket
from tests.distillation.photos.photo_files import PHOTO, DenyingS3
from tests.support.builders import any_run
from tests.support.fakes import bucket

NAMES = [f"holiday/{number:02}.jpg" for number in range(10)]


def refused(photo: str, reason: str) -> InventoryLine:
    return InventoryLine(photo=photo, status="refused", reason=reason)


def uploaded(*names: str) -> tuple[Bucket, Bucket]:
    """Return the Photos bucket with photos, and the Data bucket after AwaitUpload."""
    photos, data = bucket(**dict.fromkeys(names, PHOTO)), bucket()
    digest = list_collection("holiday-1", photos, "holiday/", "", data).digest
    list_collection("holiday-1", photos, "holiday/", digest, data)
    return photos, data


def resized(photos: Bucket, data: Bucket, names: list[str]) -> list[InventoryLine]:
    for name in names:
        resize_batch(any_run(), [S3Item(Key=name, Size=1)], photos, data)
    return read_resize_results(any_run(), data, photos)


def test_photo_that_was_deleted_before_resizing_is_refused() -> None:
    photos, data = uploaded(*NAMES)
    del photos.client.objects[NAMES[3]]  # type: ignore[attr-defined]

    lines = resized(photos, data, [name for name in NAMES if name != NAMES[3]])

    assert [line.photo for line in lines] == NAMES
    assert [line.reason for line in lines if line.status == "refused"] == [DELETED]


def test_photo_that_was_deleted_while_resizing_is_refused() -> None:
    photos, data = uploaded(*NAMES)
    del photos.client.objects[NAMES[3]]  # type: ignore[attr-defined]

    assert [line.photo for line in resized(photos, data, NAMES) if line.reason == DELETED] == [NAMES[3]]


def test_photo_that_arrived_later_is_used_and_is_forgotten_when_it_was_deleted_again() -> None:
    photos, data = uploaded(*NAMES[:8])
    photos.write(NAMES[8], PHOTO)

    lines = resized(photos, data, NAMES)

    assert [(line.photo, line.status) for line in lines] == [(name, "ok") for name in NAMES[:9]]


def test_missing_part_of_a_photo_that_still_exists_is_an_error() -> None:
    photos, data = uploaded(*NAMES)

    with pytest.raises(ObjectMissing, match=r"2 of 10 photos have no line in s3://data/work/holiday-1/resize/, first"):
        resized(photos, data, NAMES[:8])


@pytest.mark.parametrize("name", ["holiday/a\nb.jpg", "holiday/a\rb.jpg", "holiday/a\u2028b.jpg", "holiday/\x1b.jpg"])
def test_photo_whose_name_cannot_be_listed_is_refused(name: str) -> None:
    photos, data = uploaded(*NAMES, name)

    lines = resized(photos, data, [*NAMES, "holiday/a b.jpg"])

    assert [(line.photo, line.status) for line in lines if line.status == "refused"] == [(name, "refused")]
    assert len(lines) == 11


@pytest.mark.parametrize("name", ["holiday/a\nb.jpg", "holiday/a\rb.jpg", "holiday/a\u2028b.jpg", "holiday/è 𝄞%2F.jpg"])
def test_photo_with_an_unusual_name_is_used(name: str) -> None:
    photos, data = uploaded(*NAMES, name)

    assert {line.status for line in resized(photos, data, [*NAMES, name])} == {"ok"}


def test_missing_listing_is_an_error() -> None:
    photos, data = uploaded(*NAMES)
    del data.client.objects[keys.listing_key("holiday-1")]  # type: ignore[attr-defined]

    with pytest.raises(ObjectMissing, match=r"runs/holiday-1/listing\.jsonl"):
        resized(photos, data, NAMES)


def test_photos_that_cannot_be_read_count_against_the_tolerance() -> None:
    lines = [refused(name, f"{NOT_READABLE}denied.") for name in NAMES[:2]]
    lines += [InventoryLine(photo=name, status="ok") for name in NAMES[2:]]

    check_refused_photos(any_run(tolerance=0.2), lines)
    with pytest.raises(ToleranceExceeded, match=r"2 of 10 photos.*holiday/00.jpg: cannot be read: denied"):
        check_refused_photos(any_run(tolerance=0.1), lines)


def test_collection_of_which_no_photo_can_be_read_is_denied_whatever_the_tolerance() -> None:
    data, photos = bucket(), Bucket(DenyingS3(dict.fromkeys(NAMES, "AccessDenied")), "photos")  # type: ignore[arg-type]
    data.write_lines(keys.listing_key("holiday-1"), [{"photo": name} for name in NAMES])

    lines = resized(photos, data, NAMES)

    with pytest.raises(AccessDenied, match=r"none of the 10 photos in 'holiday/' can be read\. First: holiday/00\.jpg"):
        check_refused_photos(any_run(tolerance=1), lines)


def test_collection_without_photos_is_an_error() -> None:
    with pytest.raises(EmptyCollection):
        check_refused_photos(any_run(), [InventoryLine(photo="holiday/x.xml", status="ignored")])


def test_raw_file_is_skipped_only_if_the_jpeg_of_the_same_name_can_be_used() -> None:
    names = ["holiday/1.jpg", "holiday/1.nef", "holiday/2.jpg", "holiday/2.nef", "holiday/clip.mov"]
    photos, data = uploaded(*names)
    photos.write("holiday/2.jpg", b"damaged")
    lines = {line.photo: line for line in resized(photos, data, names)}

    assert [(lines[name].status, lines[name].reason) for name in names[:2]] == [("ok", None), ("ignored", REPLACED_RAW)]
    assert [lines[name].status for name in names[2:4]] == ["refused", "ok"]
    assert (lines["holiday/clip.mov"].status, lines["holiday/clip.mov"].reason) == ("ignored", "video")
