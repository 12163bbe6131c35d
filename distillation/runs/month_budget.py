"""Monthly budget of a stage: Prepare admits a run only if all runs of the month together stay within it.

``budget/<month>.json`` lists the runs. Prepare adds its run by a conditional write (If-Match) and retries if another
run was added since it read the list. There is no lock, so a function that crashes blocks nobody.

A running run counts with its ``max_usd``, an ended one with what its ledger says. A run counts in the month in which it
starts (UTC), and in the next one while it is still running.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from distillation import keys, ledger
from distillation.aws_errors import service_errors
from distillation.documents import MonthBudget, RunBudget
from distillation.errors import ObjectDamaged, OverBudget, ServiceUnavailable
from distillation.records import Run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_ATTEMPTS = 30
"""Attempts to add a run while others are added at the same time."""
_LONGEST_RUN = timedelta(days=7)
"""Time after which an execution has ended; see TimeoutSeconds of the state machine."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""End of an execution that no longer exists."""
_SHOWN_RUNS = 5
_SETTLING_TIME = timedelta(hours=1)
"""Time after an execution's end in which its last functions may still write to the ledger."""


@dataclass(frozen=True)
class RunCost:
    """Amount that one run counts against the budget."""

    run: str
    """Name of the run."""
    usd: float
    """US dollars: ``max_usd`` of a running run, the cost of an ended one."""
    is_running: bool
    is_final: bool
    """Whether the cost cannot change any more."""


@dataclass(frozen=True)
class MonthUse:
    """Use of a month's budget."""

    month: str
    """``YYYY-MM``."""
    costs: list[RunCost]
    """Cost of each run."""

    @property
    def spent_usd(self) -> float:
        """Cost of ended runs in US dollars."""
        return sum(cost.usd for cost in self.costs if not cost.is_running)

    @property
    def reserved_usd(self) -> float:
        """Sum of ``max_usd`` of running runs, in US dollars."""
        return sum(cost.usd for cost in self.costs if cost.is_running)

    @property
    def running(self) -> list[str]:
        """Names of the running runs."""
        return [cost.run for cost in self.costs if cost.is_running]

    def left_usd(self, max_usd_per_month: float) -> float:
        """Return what a new run may cost at most, in US dollars."""
        return max(0.0, round(max_usd_per_month - self.spent_usd - self.reserved_usd, 6))


@dataclass(frozen=True)
class MonthlyBudget:
    """Budget of a stage in the month of ``now``."""

    data: Bucket
    states: SFNClient
    now: datetime
    sleep: Callable[[float], None] = time.sleep

    def use(self) -> MonthUse:
        """Return the use of this month's budget."""
        return self._use(self._read(self._month)[0].runs, {})

    def check(self, run: Run, max_usd_per_month: float) -> None:
        """Raise ``OverBudget`` if ``admit`` would; nothing is written."""
        if _asks_models(run):
            _check_budget(run, self.use(), max_usd_per_month)

    def admit(self, run: Run, max_usd_per_month: float) -> None:
        """Add a run to this month's runs. Adding it again changes nothing.

        Raises ``OverBudget`` if its ``max_usd`` is more than what is left, or ``ServiceUnavailable`` if other runs were
        added at the same time in each attempt.
        """
        if not _asks_models(run):
            return
        costs: dict[str, RunCost] = {}
        for attempt in range(_ATTEMPTS):
            budget, etag = self._read(self._month)
            entry = next((entry for entry in budget.runs if entry.run == run.name), None)
            if entry and run.execution in entry.executions:
                return
            others = [other for other in budget.runs if other is not entry]
            use = self._use(others, costs, run.name)
            _check_budget(run, use, max_usd_per_month)
            runs = [*self._settled(others, costs), self._entry(run, entry)]
            if self.data.replace_document(keys.month_budget_key(self._month), MonthBudget(runs=runs), etag):
                return
            self.sleep(random.uniform(0, 0.1 * (attempt + 1)))
        raise ServiceUnavailable(
            f"{keys.month_budget_key(self._month)}: other runs started at the same time in each of {_ATTEMPTS} "
            "attempts. Start the run again."
        )

    @property
    def _month(self) -> str:
        return f"{self.now:%Y-%m}"

    def _read(self, month: str) -> tuple[MonthBudget, str | None]:
        """Return the runs of a month and the ETag of their document, which is None if there is none."""
        key = keys.month_budget_key(month)
        try:
            return self.data.find_with_etag(key, MonthBudget) or (MonthBudget(), None)
        except ObjectDamaged:
            raise ObjectDamaged(
                f"s3://{self.data.name}/{key} is damaged, so the cost of the month is not known. Restore an earlier "
                "version of the object, or delete it: the runs that it listed then no longer count."
            ) from None

    def _use(self, runs: list[RunBudget], costs: dict[str, RunCost], new_run: str | None = None) -> MonthUse:
        """Return the use by ``runs``, and by running runs of the month before other than ``new_run``.

        ``costs`` keeps the cost of each run, which is read once.
        """
        names = {new_run, *(entry.run for entry in runs)}
        carried = [entry for entry in self._running_since_last_month() if entry.run not in names]
        for entry in [*runs, *carried]:
            if entry.run not in costs:
                costs[entry.run] = self._cost(entry)
        carried_costs = [costs[entry.run] for entry in carried if costs[entry.run].is_running]
        return MonthUse(self._month, [*(costs[entry.run] for entry in runs), *carried_costs])

    def _running_since_last_month(self) -> Iterator[RunBudget]:
        """Yield the runs of the month before that may still be running."""
        last_month = f"{self.now.replace(day=1) - timedelta(days=1):%Y-%m}"
        for entry in self._read(last_month)[0].runs:
            age = self.now - entry.created
            if entry.settled_usd is None and age < _LONGEST_RUN + _SETTLING_TIME:
                yield entry

    def _cost(self, entry: RunBudget) -> RunCost:
        if entry.settled_usd is not None:
            return RunCost(entry.run, entry.settled_usd, is_running=False, is_final=True)
        ends = [self._end(execution, entry.created) for execution in entry.executions]
        if None in ends:
            return RunCost(entry.run, entry.max_usd, is_running=True, is_final=False)
        # The reservation of a batch that never settled it counts: what the batch cost is not known.
        usd = sum(ledger.paid_and_reserved_usd(entry.run, self.data))
        is_final = all(self.now - end > _SETTLING_TIME for end in ends if end)
        return RunCost(entry.run, usd, is_running=False, is_final=is_final)

    def _end(self, execution: str, created: datetime) -> datetime | None:
        """Return when an execution ended, or None if it is running.

        DescribeExecution is eventually consistent, so an execution that started recently may not exist yet. Later it
        means that Step Functions has deleted it, 90 days after its end.
        """
        with service_errors(f"execution {execution}"):
            try:
                return self.states.describe_execution(executionArn=execution).get("stopDate")
            except self.states.exceptions.ExecutionDoesNotExist:
                return _LONG_AGO if self.now - created > _SETTLING_TIME else None

    def _settled(self, runs: list[RunBudget], costs: dict[str, RunCost]) -> list[RunBudget]:
        """Return the runs with final costs where these are known; the ledger itself expires after 30 days."""
        return [
            entry.model_copy(update={"settled_usd": costs[entry.run].usd}) if costs[entry.run].is_final else entry
            for entry in runs
        ]

    def _entry(self, run: Run, earlier: RunBudget | None) -> RunBudget:
        executions = [*(earlier.executions if earlier else []), run.execution]
        created = self.now.replace(microsecond=0)
        return RunBudget(run=run.name, created=created, max_usd=run.request.max_usd, executions=executions)


def _asks_models(run: Run) -> bool:
    return run.request.until != "Estimate"


def _check_budget(run: Run, use: MonthUse, max_usd_per_month: float) -> None:
    left, max_usd = use.left_usd(max_usd_per_month), run.request.max_usd
    if max_usd <= left:
        return
    more = ", ..." if len(use.running) > _SHOWN_RUNS else ""
    running = f" by running runs ({', '.join(use.running[:_SHOWN_RUNS])}{more})" if use.running else ""
    raise OverBudget(
        f"max_usd: this run may cost ${max_usd:,.2f}, but of the stage's max_usd_per_month ${max_usd_per_month:,.2f} "
        f"only ${left:,.2f} are left in {use.month}: ${use.spent_usd:,.2f} are spent and ${use.reserved_usd:,.2f} "
        f"reserved{running}. Lower max_usd, wait until a running run ends or the month is over, or raise "
        "max_usd_per_month of the stage in cdk.json and deploy again."
    )
