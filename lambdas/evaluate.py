"""Evaluate: compare the answers with the teacher's and write the report, or a report of what there is."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import ledger
from distillation.evaluation.report import write_report
from distillation.records import TrainedModel
from distillation.telemetry import logger, metrics
from lambdas.runtime import data, read_run, setting


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, state}``, the machine's whole state; return ``{verdict, promoted, report}``, a name and a key."""
    run = read_run(event["run"])
    trained = event["state"].get("trained", {}).get("models", [])
    models = [TrainedModel.model_validate(model) for model in trained]
    result = write_report(run, models, data(), setting("CODE_VERSION"))
    metrics.add_metric("UsdSpent", MetricUnit.NoUnit, ledger.total_usd(data(), run.name))
    logger.info("report written", run=run.name, verdict=result["verdict"])
    return result
