"""WriteDataset: turn labels into training records."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.dataset.examples import write_dataset
from distillation.telemetry import logger
from lambdas.runtime import data, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{sizes, records, set_aside}``."""
    run = read_run(event["run"])
    result = write_dataset(run, event["sizes"], data())
    logger.info("dataset written", run=run.name, **result)
    return result
