"""AwaitUpload: list the collection and compare the listing with the one before."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import AwaitUploadEvent, Listing
from distillation.photos.listing import check_photo_count, list_collection
from distillation.telemetry import logger
from lambdas.runtime import Settings, data, photos, settings, typed


class AwaitUploadSettings(Settings):
    """Environment variables of AwaitUpload."""

    max_photos: int
    """Largest number of photos of a collection."""


@logger.inject_lambda_context(clear_state=True)
@typed(AwaitUploadEvent)
def handler(event: AwaitUploadEvent, context: LambdaContext) -> Listing:
    """Return the number of photos, a digest of the listing, and whether it is unchanged.

    Raises ``InvalidRequest`` if there are more photos than the stage allows.
    """
    listing = list_collection(event.run, photos(), event.collection, event.previous, data())
    check_photo_count(event.collection, listing.photos, settings(AwaitUploadSettings).max_photos)
    logger.info("collection listed", collection=event.collection, photos=listing.photos)
    return listing
