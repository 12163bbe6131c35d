"""ValidateDataset: refuse what Bedrock would refuse, before a job is paid for."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import keys
from distillation.dataset.dataset import Dataset
from distillation.dataset.validator import reject_invalid
from distillation.models import catalog
from distillation.telemetry import logger
from lambdas.runtime import claimed_run, data


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{files, records}``; raises ``DatasetRejected``."""
    run = claimed_run(event["run"])
    family = catalog.model(run.student).family
    validation = next(data().keys(keys.dataset(run.run, "validation")), None)
    records = 0
    for size in event["sizes"]:
        key = keys.dataset(run.run, f"train-{size}")
        dataset = Dataset(family, data().bucket)
        extra = data().lines(validation) if validation else None
        warnings = reject_invalid(key, dataset.problems(data().lines(key), extra))
        records = max(records, dataset.records["train"])
        logger.info("dataset valid", run=run.run, key=key, records=dataset.records, warnings=warnings)
    return {"files": len(event["sizes"]), "records": records}
