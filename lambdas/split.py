"""Split: remove exact duplicates and divide the images into training, validation and test sets."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.photos.splits import split
from distillation.telemetry import logger
from lambdas.runtime import data, photos, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``; return counts, sizes and the keys of the sets."""
    run = read_run(event["run"])
    result = split(run, data(), photos())
    logger.info("collection split", run=run.name, **result)
    return result
