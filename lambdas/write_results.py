"""WriteResults: write a tuned model's answers about a collection as tables."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import RunEvent, WriteResultsResult
from distillation.runs.result_tables import write_results
from distillation.telemetry import logger
from lambdas.runtime import data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(RunEvent)
def handler(event: RunEvent, context: LambdaContext) -> WriteResultsResult:
    """Return the verdict and the key of results.csv."""
    run = read_run(event.run)
    result = write_results(run, data())
    logger.info("results written", run=run.name, verdict=result.verdict)
    return result
