from __future__ import annotations

import io

from PIL import Image

from distillation import keys
from distillation.events import S3Item
from distillation.photos.resize_batch import resize_batch
from tests.support.builders import any_run
from tests.support.fakes import bucket


def jpeg(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, "JPEG")
    return output.getvalue()


PHOTO = jpeg(Image.linear_gradient("L").resize((1200, 800)).convert("RGB"))


def test_batch_writes_a_line_for_every_photo_and_an_unusable_photo_does_not_fail_it() -> None:
    names = {"holiday/IMG (1) é+%.JPG": PHOTO, "holiday/broken.jpg": b"x", "holiday/.DS_Store": b"x"}
    photos, data = bucket(**names), bucket()
    items = [S3Item(Key=name, Size=len(body)) for name, body in names.items()]

    counts = resize_batch(any_run(), items, photos, data)

    assert (counts.ok, counts.refused) == (1, 1)
    lines = {line["photo"]: line for line in data.read_parts(keys.parts_prefix("holiday-1", "resize"))}
    assert [lines[name]["status"] for name in names] == ["ok", "refused", "ignored"]
    (key,) = data.keys("images/")
    assert key == keys.image_key(900, lines["holiday/IMG (1) é+%.JPG"]["image"])


def test_blank_image_has_no_perceptual_hash() -> None:
    names = {"holiday/blank.jpg": jpeg(Image.new("RGB", (300, 200), "grey")), "holiday/photo.jpg": PHOTO}
    data = bucket()
    resize_batch(any_run(), [S3Item(Key=name, Size=1) for name in names], bucket(**names), data)
    lines = {line["photo"]: line for line in data.read_parts(keys.parts_prefix("holiday-1", "resize"))}

    assert "perceptual_hash" not in lines["holiday/blank.jpg"]
    assert lines["holiday/blank.jpg"]["flags"] == ["blank"]
    assert len(lines["holiday/photo.jpg"]["perceptual_hash"]) == 16
