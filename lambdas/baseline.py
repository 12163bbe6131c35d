"""Baseline: compare the alternatives to training with the teacher, and decide whether training is worth it."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.evaluation.baseline import write_baseline
from distillation.evaluation.verdict import baseline_verdict
from distillation.events import BaselineResult, RunEvent
from distillation.telemetry import logger
from lambdas.runtime import data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(RunEvent)
def handler(event: RunEvent, context: LambdaContext) -> BaselineResult:
    """Return whether training is worth it, and why."""
    run = read_run(event.run)
    baseline = write_baseline(run, data())
    verdict = f"{baseline_verdict(baseline)} {baseline.recommendation.text}"
    logger.info("baseline measured", run=run.name, worth_training=baseline.worth_training, verdict=verdict)
    return BaselineResult(worth_training=baseline.worth_training, verdict=verdict)
