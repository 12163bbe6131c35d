"""WriteResults: write a tuned model's answers about a collection as tables, and audit them."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import ledger
from distillation.evaluation.audit import measure_audit
from distillation.evaluation.recommendation import recommend_after_apply
from distillation.events import RunEvent, WriteResultsResult
from distillation.runs.result_tables import write_results
from distillation.telemetry import count_audit, logger, metrics
from lambdas.runtime import data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@typed(RunEvent)
def handler(event: RunEvent, context: LambdaContext) -> WriteResultsResult:
    """Return the verdict and the key of results.csv."""
    run = read_run(event.run)
    audit = measure_audit(run, data())
    recommendation = recommend_after_apply(run, audit, ledger.summary(run.name, data()))
    result = write_results(run, audit, data(), recommendation)
    count_audit(audit)
    logger.info("results written", run=run.name, verdict=result.verdict)
    return result
