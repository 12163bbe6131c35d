"""AwaitUpload: list the collection and compare the listing with the one before."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import AwaitUploadEvent, Listing
from distillation.photos.listing import list_collection
from distillation.telemetry import logger
from lambdas.runtime import photos, typed


@logger.inject_lambda_context(clear_state=True)
@typed(AwaitUploadEvent)
def handler(event: AwaitUploadEvent, context: LambdaContext) -> Listing:
    """Return the number of photos, a digest of the listing, and whether it is unchanged."""
    listing = list_collection(photos(), event.collection, event.previous)
    logger.info("collection listed", collection=event.collection, photos=listing.photos)
    return listing
