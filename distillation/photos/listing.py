"""List a collection and compare it with the previous listing.

An upload may continue after ``distill.json`` was put. A run therefore waits until two listings are equal.
"""

from __future__ import annotations

import hashlib

from distillation.answers.own_labels import OWN_LABELS_FILES
from distillation.errors import EmptyCollection
from distillation.events import Listing
from distillation.photos.files import is_ignored
from distillation.storage import Bucket


def list_collection(photos: Bucket, collection: str, previous: str) -> Listing:
    """Return the number of photos, a digest of photos and own labels, and whether the digest equals ``previous``.

    Raises ``EmptyCollection`` if two listings in a row contain no photo.
    """
    digest, count = hashlib.sha256(), 0
    for item in photos.list(collection):
        is_photo = not is_ignored(item["Key"])
        if is_photo or item["Key"].removeprefix(collection) in OWN_LABELS_FILES:
            digest.update(f"{item['Key']}\0{item['ETag']}\n".encode())
        count += is_photo
    settled = digest.hexdigest() == previous
    if settled and count == 0:
        raise EmptyCollection(
            f"s3://{photos.name}/{collection} contains no photos. Upload photos and put distill.json again."
        )
    return Listing(photos=count, digest=digest.hexdigest(), settled=settled)
