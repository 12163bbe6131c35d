"""Estimate: estimate the cost of the run before labels are paid for."""

from __future__ import annotations

from datetime import UTC, datetime

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import keys, ledger
from distillation.costs import calibration
from distillation.costs.daily_quota import check_daily_quotas
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import measure_workload
from distillation.documents import Estimate, Rounds
from distillation.events import EstimateEvent, EstimateResult
from distillation.telemetry import logger
from lambdas.runtime import data, read_run, typed


@logger.inject_lambda_context(clear_state=True)
@typed(EstimateEvent)
def handler(event: EstimateEvent, context: LambdaContext) -> EstimateResult:
    """Write ``estimate.json``; return the next round, the expected cost and whether it is within the budget.

    Earlier rounds keep the figures of the earlier estimate, also if the state is retried. Raises ``QuotaExceeded`` if
    the run needs too many daily quotas.
    """
    run = read_run(event.run)
    calibrations = calibration.load_for(run, data())
    round_ = data().read_document(keys.rounds_key(run.name), Rounds).rounds[event.previous + 1]
    workload = measure_workload(run, round_, data())
    earlier = data().find_intact(keys.estimate_key(run.name), Estimate)
    paid, _ = ledger.paid_and_reserved_usd(run.name, data())
    estimate = estimate_run(run, workload, calibrations, datetime.now(UTC).date(), earlier, paid)
    data().write_document(keys.estimate_key(run.name), estimate)
    logger.info("run estimated", run=run.name, usd=estimate.usd)
    check_daily_quotas(estimate.daily_quotas)
    return EstimateResult(
        **dict(round_), usd=estimate.usd, within_budget=estimate.within_budget, verdict=estimate.verdict
    )
