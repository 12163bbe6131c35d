"""ListImages: list the images that a tuned model is asked about, and price the answers."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import ListImagesResult, RunEvent
from distillation.runs.list_images import list_images
from distillation.telemetry import logger
from lambdas.runtime import data, photos, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(RunEvent)
def handler(event: RunEvent, context: LambdaContext) -> ListImagesResult:
    """Return counts, the key of the list, the expected cost and whether it is within the budget."""
    run = read_run(event.run)
    result = list_images(run, data(), photos())
    logger.info("images listed", run=run.name, **result.model_dump())
    return result
