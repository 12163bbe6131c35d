"""List a collection and compare it with the listing before: uploads rarely end with distill.json."""

from __future__ import annotations

import hashlib
from typing import Any

from distillation.errors import EmptyCollection
from distillation.photos.files import OWN_LABELS, is_ignored
from distillation.storage import Bucket


def list_collection(photos: Bucket, collection: str, previous: str) -> dict[str, Any]:
    """Return the number of photos, a digest of them and of own labels, and whether it equals the previous one.

    Raises ``EmptyCollection`` when two listings agree that there is nothing.
    """
    digest, count = hashlib.sha256(), 0
    for item in photos.list(collection):
        photo = not is_ignored(item["Key"])
        if photo or item["Key"].removeprefix(collection) in OWN_LABELS:
            digest.update(f"{item['Key']}\0{item['ETag']}\n".encode())
        count += photo
    settled = digest.hexdigest() == previous
    if settled and count == 0:
        raise EmptyCollection(f"s3://{photos.name}/{collection} holds no photo; upload some and put distill.json again")
    return {"photos": count, "digest": digest.hexdigest(), "settled": settled}
