"""Prepare a run: resolve its request, run the preflight checks, and claim the run.

One check is a short billed call to the teacher.
"""

from __future__ import annotations

from datetime import UTC, datetime

from distillation.events import Listing, NoModels, PrepareResult, RoundStart
from distillation.records import Run
from distillation.run_documents import find_run
from distillation.runs.account_limits import apply_daily_quotas, cap_concurrency
from distillation.runs.execution_input import ExecutionInput, Upload
from distillation.runs.existing_model import check_named_run, with_replaced_deployment, with_tuned_model
from distillation.runs.month_budget import MonthlyBudget
from distillation.runs.preflight import Account, check_account, check_training_record, probe_teacher, probes_teacher
from distillation.runs.request import Defaults, claim, resolve
from distillation.storage import Bucket


def prepare(
    start: ExecutionInput, execution: str, photos: Bucket, data: Bucket, defaults: Defaults, account: Account
) -> PrepareResult:
    """Return what the state machine reads of the run that an execution was started for.

    The run is claimed last: a refused run has no request.json. Raises ``InvalidRequest``, ``OverBudget``,
    ``AccessDenied``, ``QuotaExceeded``, ``ServiceUnavailable`` or ``Throttled``.
    """
    run = resolve(start, execution, photos, defaults)
    if claimed := find_run(run.name, data):
        # The execution that claimed the run has passed the checks.
        return _result(claimed, claimed_by=None if claimed.execution == execution else claimed.execution)
    if isinstance(start, Upload):
        check_named_run(run, defaults.shared_models, data)
    run = cap_concurrency(run, account.functions)
    budget = MonthlyBudget(data, account.states, datetime.now(UTC))
    if run.request.apply:
        run = with_tuned_model(run, data, account.bedrock)
        budget.admit(run, defaults.max_usd_per_month)
        if probes_teacher(run):
            probe_teacher(run, data, account)
    else:
        if run.request.replace:
            run = with_replaced_deployment(run, data, account.bedrock)
        check_training_record(run, data.name)
        run = apply_daily_quotas(run, account.quotas)
        # Before check_account asks the teacher a question that is billed.
        budget.admit(run, defaults.max_usd_per_month)
        check_account(run, data, account)
    return _result(run, claimed_by=claim(run, data))


def _result(run: Run, claimed_by: str | None) -> PrepareResult:
    return PrepareResult(
        run=run.name,
        collection=run.collection,
        claimed_by=claimed_by,
        apply=run.request.apply,
        until=run.request.until or "Notify",
        concurrency=run.concurrency,
        images_per_batch=run.images_per_batch,
        listing=Listing(photos=0, digest="", settled=False),
        round=RoundStart(),
        trained=NoModels(),
    )
