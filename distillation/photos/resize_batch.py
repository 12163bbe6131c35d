"""Resize the photos of one batch. A photo that cannot be used is recorded with a reason and never fails the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from distillation import keys
from distillation.errors import AccessDenied, InvalidRequest, ObjectMissing
from distillation.events import BatchResult, S3Item
from distillation.photos.files import skip_kind
from distillation.photos.inventory import DELETED, NOT_READABLE
from distillation.photos.perceptual_hash import perceptual_hash
from distillation.photos.quality import image_quality
from distillation.photos.resizer import MAXIMUM_BYTES, PhotoRefused, check_file_size, resize
from distillation.records import InventoryLine, Run
from distillation.storage import Bucket
from distillation.telemetry import logger


def resize_batch(run: Run, items: Sequence[S3Item], photos: Bucket, data: Bucket) -> BatchResult:
    """Write the images and the batch's inventory lines; return the number of ``ok`` and ``refused`` photos."""
    lines = [_resize_photo(run, item, photos, data) for item in items]
    batch = keys.batch_id([item.key for item in items])
    data.write_lines(
        keys.part_key(run.name, "resize", batch),
        [line.model_dump(exclude_none=True) for line in lines],
    )
    return BatchResult.count(lines)


def _resize_photo(run: Run, item: S3Item, photos: Bucket, data: Bucket) -> InventoryLine:
    key = item.key
    if kind := skip_kind(key):
        return InventoryLine(photo=key, status="ignored", reason=kind)
    try:
        check_file_size(item.size)
        image = resize(_read(key, photos), run.image_side, key)
    except PhotoRefused as refusal:
        logger.info("photo refused", run=run.name, photo=key, reason=str(refusal))
        return InventoryLine(photo=key, status="refused", reason=str(refusal))
    sha256 = hashlib.sha256(image.jpeg).hexdigest()
    # Written also if it exists: the key names these bytes, and a damaged image of an earlier run is replaced.
    data.write(keys.image_key(run.image_side, sha256), image.jpeg, "image/jpeg")
    greyscale = image.pixels.convert("L")
    quality = image_quality(greyscale)
    return InventoryLine(
        photo=key,
        status="ok",
        image=sha256,
        width=image.pixels.width,
        height=image.pixels.height,
        bytes=len(image.jpeg),
        # All blank images have similar hashes, so a blank image would be a near-duplicate of every other one.
        perceptual_hash=None if quality.is_blank else perceptual_hash(greyscale),
        flags=quality.flags,
    )


def _read(key: str, photos: Bucket) -> bytes:
    """Return a photo's bytes. Raises ``PhotoRefused`` if it does not exist or S3 does not return it."""
    try:
        return photos.read(key, MAXIMUM_BYTES + 1)
    except ObjectMissing:
        raise PhotoRefused(DELETED) from None
    # InvalidRequest: for example an object that is encrypted with a key of the customer (SSE-C).
    except (AccessDenied, InvalidRequest) as error:
        raise PhotoRefused(f"{NOT_READABLE}{error}") from None
