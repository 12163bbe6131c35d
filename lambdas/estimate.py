"""Estimate: say what the run will cost before anything is paid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import keys
from distillation.costs import calibration
from distillation.costs.estimate import estimate
from distillation.costs.workload import of_run
from distillation.telemetry import logger
from lambdas.runtime import claimed_run, data


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{usd, within_budget, verdict}``."""
    run = claimed_run(event["run"])
    calibrations = {id: found for id in (run.teacher.model, run.student) if (found := calibration.find(id, data()))}
    result = estimate(run, of_run(run, event["sizes"], data()), calibrations, datetime.now(UTC).date())
    data().write_json(keys.report(run.run, "estimate.json"), result)
    logger.info("run estimated", run=run.run, usd=result["usd"])
    return {name: result[name] for name in ("usd", "within_budget", "verdict")}
