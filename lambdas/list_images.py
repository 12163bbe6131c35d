"""ListImages: list what a tuned model is to answer about, and price it."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.runs.image_list import list_images
from distillation.telemetry import logger
from lambdas.runtime import data, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``; return counts, the key of the list, ``usd``, ``within_budget`` and ``verdict``."""
    run = read_run(event["run"])
    result = list_images(run, data())
    logger.info("images listed", run=run.name, **result)
    return result
