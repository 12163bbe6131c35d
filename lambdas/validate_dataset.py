"""ValidateDataset: refuse what Bedrock would refuse, before a job is paid for."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import keys
from distillation.dataset.dataset import Dataset
from distillation.dataset.validator import reject_invalid
from distillation.models import catalog
from distillation.telemetry import logger
from lambdas.runtime import data, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{files, records}``; raises ``DatasetRejected``."""
    run = read_run(event["run"])
    family = catalog.get_model(run.student).family
    validation = next(data().keys(keys.dataset_key(run.name, "validation")), None)
    records = 0
    for size in event["sizes"]:
        key = keys.dataset_key(run.name, f"train-{size}")
        dataset = Dataset(family, data().name)
        extra = data().iter_lines(validation) if validation else None
        warnings = reject_invalid(key, dataset.problems(data().iter_lines(key), extra))
        records = max(records, dataset.records["train"])
        logger.info("dataset valid", run=run.name, key=key, records=dataset.records, warnings=warnings)
    return {"files": len(event["sizes"]), "records": records}
