"""Estimate: say what the run will cost before anything is paid."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.estimate.cost import estimate
from lambdas.shared.environment import claimed_run, data
from lambdas.shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run, sizes}``; return ``{usd, within_budget, verdict}``."""
    run = claimed_run(event["run"])
    result = estimate(run, event["sizes"], data())
    logger.info("run estimated", run=run.run, usd=result["usd"])
    return {name: result[name] for name in ("usd", "within_budget", "verdict")}
