"""WriteResults: put what a tuned model said about a collection into tables."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.runs.result_tables import write_keywords
from distillation.telemetry import logger
from lambdas.runtime import claimed_run, data


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``; return ``{verdict, keywords}``, a key."""
    run = claimed_run(event["run"])
    result = write_keywords(run, data())
    logger.info("keywords written", run=run.run, verdict=result["verdict"])
    return result
