"""WriteDataset: write training records from labels."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.dataset.writer import write_dataset
from distillation.events import DatasetResult, WriteDatasetEvent
from distillation.telemetry import logger
from lambdas.runtime import data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(WriteDatasetEvent)
def handler(event: WriteDatasetEvent, context: LambdaContext) -> DatasetResult:
    """Return the sizes that could be written and the numbers of records."""
    run = read_run(event.run)
    result = write_dataset(run, event.round.number, event.round.sizes, data())
    logger.info("dataset written", run=run.name, **result.model_dump())
    return result
