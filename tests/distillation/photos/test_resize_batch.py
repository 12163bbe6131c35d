from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from distillation import keys
from distillation.errors import ServiceUnavailable
from distillation.events import S3Item
from distillation.photos.resize_batch import resize_batch
from distillation.storage import Bucket
from tests.distillation.photos.photo_files import PHOTO, DenyingS3, jpeg
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.stored import read_lines


def parts(data: Bucket) -> list[dict[str, Any]]:
    """Return the lines that the batches wrote."""
    return [line for key in data.keys(keys.parts_prefix("holiday-1", "resize")) for line in read_lines(data, key)]


def test_batch_writes_a_line_for_every_photo_and_an_unusable_photo_does_not_fail_it() -> None:
    names = {"holiday/IMG (1) é+%.JPG": PHOTO, "holiday/broken.jpg": b"x", "holiday/.DS_Store": b"x"}
    photos, data = bucket(**names), bucket()
    items = [S3Item(Key=name, Size=len(body)) for name, body in names.items()]

    counts = resize_batch(any_run(), items, photos, data)

    assert (counts.ok, counts.refused) == (1, 1)
    lines = {line["photo"]: line for line in parts(data)}
    assert [lines[name]["status"] for name in names] == ["ok", "refused", "ignored"]
    (key,) = data.keys("images/")
    assert key == keys.image_key(900, lines["holiday/IMG (1) é+%.JPG"]["image"])


def test_blank_image_has_no_perceptual_hash() -> None:
    names = {"holiday/blank.jpg": jpeg(Image.new("RGB", (300, 200), "grey")), "holiday/photo.jpg": PHOTO}
    data = bucket()
    resize_batch(any_run(), [S3Item(Key=name, Size=1) for name in names], bucket(**names), data)
    lines = {line["photo"]: line for line in parts(data)}

    assert "perceptual_hash" not in lines["holiday/blank.jpg"]
    assert lines["holiday/blank.jpg"]["flags"] == ["blank"]
    assert len(lines["holiday/photo.jpg"]["perceptual_hash"]) == 16


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDenied", "s3://photos/holiday/refused.jpg: refused"),
        ("InvalidObjectState", "archive"),
        ("KMS.DisabledException", "s3://photos/holiday/refused.jpg: refused"),
        ("KMS.NotFoundException", "s3://photos/holiday/refused.jpg: refused"),
        ("InvalidRequest", "InvalidRequest: refused"),
        ("NoSuchKey", "no longer exists"),
    ],
)
def test_photo_that_s3_does_not_return_is_refused_with_the_reason(code: str, reason: str) -> None:
    client = DenyingS3({"holiday/refused.jpg": code})
    client.objects = {"holiday/photo.jpg": PHOTO, "holiday/refused.jpg": PHOTO}
    data = bucket()

    items = [S3Item(Key=name, Size=1) for name in client.objects]
    counts = resize_batch(any_run(), items, Bucket(client, "photos"), data)  # type: ignore[arg-type]

    assert (counts.ok, counts.refused) == (1, 1)
    assert reason in next(line["reason"] for line in parts(data) if line["status"] == "refused")


def test_outage_while_a_photo_is_read_ends_the_batch_for_a_retry() -> None:
    client = DenyingS3({"holiday/photo.jpg": "SlowDown"})

    with pytest.raises(ServiceUnavailable):
        resize_batch(any_run(), [S3Item(Key="holiday/photo.jpg")], Bucket(client, "photos"), bucket())  # type: ignore[arg-type]


def test_truncated_image_of_an_earlier_run_is_written_again() -> None:
    photos, data = bucket(**{"holiday/photo.jpg": PHOTO}), bucket()
    resize_batch(any_run(), [S3Item(Key="holiday/photo.jpg")], photos, data)
    (key,) = data.keys("images/")
    intact = data.read(key)
    data.write(key, intact[:100])

    resize_batch(any_run(), [S3Item(Key="holiday/photo.jpg")], photos, data)

    assert data.read(key) == intact
