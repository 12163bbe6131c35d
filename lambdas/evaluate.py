"""Evaluate: compare the answers with the teacher's and write the report."""

from __future__ import annotations

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import ledger
from distillation.evaluation.report import write_report
from distillation.events import EvaluateEvent, EvaluateResult
from distillation.telemetry import logger, metrics
from lambdas.runtime import Settings, data, read_run, settings, typed


class EvaluateSettings(Settings):
    """Environment variables of Evaluate."""

    code_version: str
    """Commit and hash of the deployed code."""


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(EvaluateEvent)
def handler(event: EvaluateEvent, context: LambdaContext) -> EvaluateResult:
    """Return the verdict, the name of the promoted model and the key of report.html."""
    run = read_run(event.run)
    result = write_report(
        run, event.state.round.number, event.state.trained.models, data(), settings(EvaluateSettings).code_version
    )
    paid_usd, _ = ledger.paid_and_reserved_usd(run.name, data())
    metrics.add_metric("UsdSpent", MetricUnit.NoUnit, paid_usd)
    logger.info("report written", run=run.name, verdict=result.verdict)
    return result
