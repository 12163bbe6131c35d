"""WriteResults: put what a tuned model said about a collection into tables."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.runs.result_tables import write_results
from distillation.telemetry import logger
from lambdas.runtime import data, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``; return ``{verdict, keywords}``, a key."""
    run = read_run(event["run"])
    result = write_results(run, data())
    logger.info("keywords written", run=run.name, verdict=result["verdict"])
    return result
