"""ValidateDataset: refuse what Bedrock would refuse, before a job is paid for."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.shared import families, layout
from lambdas.shared.environment import claimed_run, data
from lambdas.shared.telemetry import logger
from lambdas.validate_dataset.checks import reject_invalid
from lambdas.validate_dataset.dataset import Dataset


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{files, records}``; raises ``DatasetRejected``."""
    run = claimed_run(event["run"])
    family = families.model(run.student).family
    validation = next(data().keys(layout.dataset(run.run, "validation")), None)
    records = 0
    for size in event["sizes"]:
        key = layout.dataset(run.run, f"train-{size}")
        dataset = Dataset(family, data().bucket)
        extra = data().lines(validation) if validation else None
        warnings = reject_invalid(key, dataset.problems(data().lines(key), extra))
        records = max(records, dataset.records["train"])
        logger.info("dataset valid", run=run.run, key=key, records=dataset.records, warnings=warnings)
    return {"files": len(event["sizes"]), "records": records}
