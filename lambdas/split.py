"""Split: drop exact duplicates and divide the images into training, validation and test sets."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import RunEvent, SplitResult
from distillation.photos.splits import split
from distillation.telemetry import logger
from lambdas.runtime import data, photos, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(RunEvent)
def handler(event: RunEvent, context: LambdaContext) -> SplitResult:
    """Return the numbers of photos, of images and of the images in each set."""
    run = read_run(event.run)
    result = split(run, data(), photos())
    logger.info("collection split", run=run.name, **result.model_dump())
    return result
