from __future__ import annotations

from distillation.photos.listing import list_collection
from tests.support.fakes import bucket


def test_upload_of_own_labels_changes_the_listing_of_a_collection() -> None:
    photos = bucket(**{"holiday/01.jpg": b"x"})
    before = list_collection(photos, "holiday/", "")
    photos.write("holiday/labels.csv", b"photo,label")
    after = list_collection(photos, "holiday/", before.digest)

    assert (after.photos, after.settled) == (1, False)
    assert list_collection(photos, "holiday/", after.digest).settled
