"""Estimate: say what the run will cost before anything is paid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import keys
from distillation.costs import calibration
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import measure_workload
from distillation.telemetry import logger
from lambdas.runtime import data, read_run


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{usd, within_budget, verdict}``."""
    run = read_run(event["run"])
    calibrations = {id: found for id in (run.teacher.model, run.student) if (found := calibration.load(id, data()))}
    result = estimate_run(run, measure_workload(run, event["sizes"], data()), calibrations, datetime.now(UTC).date())
    data().write_json(keys.report_key(run.name, "estimate.json"), result)
    logger.info("run estimated", run=run.name, usd=result["usd"])
    return {name: result[name] for name in ("usd", "within_budget", "verdict")}
