"""WriteDataset: turn labels into training records."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.dataset.examples import write
from distillation.telemetry import logger
from lambdas.runtime import claimed_run, data


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{sizes, records, set_aside}``."""
    run = claimed_run(event["run"])
    result = write(run, event["sizes"], data())
    logger.info("dataset written", run=run.run, **result)
    return result
