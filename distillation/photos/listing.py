"""List a collection and compare it with the previous listing.

An upload may continue after ``distill.json`` was put. A run therefore waits until two listings are equal.
"""

from __future__ import annotations

import hashlib

from distillation import keys
from distillation.answers.own_labels import OWN_LABELS_FILES
from distillation.answers.vocabulary import VOCABULARY_FILE
from distillation.errors import EmptyCollection, InvalidRequest, excerpt
from distillation.events import Listing
from distillation.photos.files import skip_kind
from distillation.records import ListedPhoto
from distillation.storage import Bucket


def check_photo_count(collection: str, photos: int, max_photos: int) -> None:
    """Raise ``InvalidRequest`` if a collection has more photos than the stage allows."""
    if photos > max_photos:
        raise InvalidRequest(
            f"{excerpt(collection)} contains {photos:,} photos, more than the stage's max_photos {max_photos:,}. "
            "Divide them into several collections, or raise max_photos of the stage in cdk.json and deploy again."
        )


def list_collection(run: str, photos: Bucket, collection: str, previous: str, data: Bucket) -> Listing:
    """Return the number of photos, a digest of photos and own files, and whether the digest equals ``previous``.

    If it does, the listing is stored for the run: Split accounts for each of its photos. Raises ``EmptyCollection`` if
    two listings in a row contain no photo.
    """
    digest, listed = hashlib.sha256(), []
    for item in photos.list(collection):
        is_photo = skip_kind(item["Key"]) is None
        if is_photo or item["Key"].removeprefix(collection) in (VOCABULARY_FILE, *OWN_LABELS_FILES):
            digest.update(f"{item['Key']}\0{item['ETag']}\n".encode())
        if is_photo:
            listed.append(ListedPhoto(photo=item["Key"]))
    settled = digest.hexdigest() == previous
    if settled and not listed:
        raise EmptyCollection(
            f"s3://{photos.name}/{collection} contains no photos. Upload photos and put distill.json again."
        )
    if settled:
        data.write_lines(keys.listing_key(run), (line.model_dump() for line in listed))
    return Listing(photos=len(listed), digest=digest.hexdigest(), settled=settled)
