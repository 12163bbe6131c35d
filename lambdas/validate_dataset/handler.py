"""ValidateDataset: refuse what Bedrock would refuse, before a job is paid for."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.shared import families, layout
from lambdas.shared.environment import claimed_run, data
from lambdas.shared.telemetry import logger
from lambdas.validate_dataset.checks import reject_invalid


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{files, records}``; raises ``DatasetRejected``."""
    run = claimed_run(event["run"])
    family = families.model(run.student).family
    records = {}
    validation = data().find(layout.dataset(run.run, "validation"))
    for size in event["sizes"]:
        key = layout.dataset(run.run, f"train-{size}")
        lines = data().read(key).splitlines(keepends=True)
        extra = validation.splitlines(keepends=True) if validation else []
        reject_invalid(key, lines, extra, family, data().bucket)
        records[key] = len(lines)
    logger.info("dataset valid", run=run.run, records=records)
    return {"files": len(records), "records": max(records.values())}
