"""AwaitUpload: check whether the upload of the collection has finished."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.photos.listing import list_collection
from distillation.telemetry import logger
from lambdas.runtime import photos


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{collection, previous}``, a digest, and return ``{photos, digest, settled}``."""
    listing = list_collection(photos(), event["collection"], event["previous"])
    logger.info("collection listed", collection=event["collection"], photos=listing["photos"])
    return listing
