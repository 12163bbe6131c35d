"""ValidateDataset: reject a dataset that Bedrock would reject, before a job is started."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.dataset.validator import validate_files
from distillation.events import ValidateEvent, ValidationResult
from distillation.telemetry import logger
from lambdas.runtime import data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(ValidateEvent)
def handler(event: ValidateEvent, context: LambdaContext) -> ValidationResult:
    """Return the numbers of files and records. Raises ``DatasetRejected`` if a file breaks a rule."""
    run = read_run(event.run)
    result = validate_files(run, dict(zip(event.sizes, event.records, strict=True)), event.validation, data())
    logger.info("dataset valid", run=run.name, **result.model_dump())
    return result
