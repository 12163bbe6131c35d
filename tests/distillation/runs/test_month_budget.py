from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from distillation import keys, ledger
from distillation.documents import MonthBudget
from distillation.errors import AccessDenied, ObjectDamaged, OverBudget, ServiceUnavailable
from distillation.records import LedgerPart, Run
from distillation.runs.month_budget import MonthlyBudget
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import MemoryS3, bucket

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = "budget/2026-11.json"


class Executions:
    """Step Functions client; an execution that is not in ``ended`` is running."""

    class exceptions:  # noqa: N801 - boto3's name
        class ExecutionDoesNotExist(ClientError):
            pass

    def __init__(self) -> None:
        self.ended: dict[str, datetime | None] = {}
        self.described: list[str] = []

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.described.append(executionArn)
        if executionArn not in self.ended:
            return {"status": "RUNNING"}
        if self.ended[executionArn] is None:
            raise self.exceptions.ExecutionDoesNotExist({"Error": {"Code": "ExecutionDoesNotExist"}}, "Describe")
        return {"status": "FAILED", "stopDate": self.ended[executionArn]}


class Stage:
    """A stage with $100 a month."""

    def __init__(self) -> None:
        self.data, self.executions = bucket(), Executions()

    def budget(self, now: datetime = NOW, data: Bucket | None = None) -> MonthlyBudget:
        states: Any = self.executions
        return MonthlyBudget(data or self.data, states, now, lambda _: None)

    def admit(self, name: str, max_usd: float = 25, now: datetime = NOW, **request: Any) -> None:
        self.budget(now).admit(a_run(name, max_usd, **request), 100)

    def spend(self, name: str, usd: float) -> None:
        part = LedgerPart(step="Label", model="m", calls=1, reused=0, input_tokens=0, output_tokens=0, usd=usd)
        ledger.write_part(name, part, uuid4().hex, self.data)

    def end(self, name: str, at: datetime | None = NOW) -> None:
        self.executions.ended[f"arn:{name}"] = at

    def stored(self, key: str = KEY) -> MonthBudget:
        return self.data.read_document(key, MonthBudget)

    def left(self, now: datetime = NOW) -> float:
        return self.budget(now).use().left_usd(100)


def a_run(name: str, max_usd: float = 25, execution: str | None = None, **request: Any) -> Run:
    update = {"name": name, "execution": execution or f"arn:{name}"}
    return any_run(max_usd=max_usd, **request).model_copy(update=update)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_running_runs_count_with_their_max_usd(stage: Stage) -> None:
    for name in ("a", "b", "c"):
        stage.admit(name, 30)
    stage.spend("a", 3)

    with pytest.raises(OverBudget) as refusal:
        stage.admit("d", 10.5)

    assert str(refusal.value) == (
        "max_usd: this run may cost $10.50, but of the stage's max_usd_per_month $100.00 only $10.00 are left in "
        "2026-11: $0.00 are spent and $90.00 reserved by running runs (a, b, c). Lower max_usd, wait until a running "
        "run ends or the month is over, or raise max_usd_per_month of the stage in cdk.json and deploy again."
    )
    stage.admit("d", 10)
    assert stage.left() == 0


def test_ended_run_counts_what_it_spent_and_may_have_spent(stage: Stage) -> None:
    stage.admit("a", 90)
    stage.spend("a", 2.5)
    ledger.reserve("a", "Label", "crashed", 1.5, stage.data)
    stage.end("a")

    stage.admit("b", 96)
    assert stage.left() == 0


def test_refused_run_counts_nothing(stage: Stage) -> None:
    stage.admit("a", 90)
    with pytest.raises(OverBudget):
        stage.admit("b", 20)

    assert [entry.run for entry in stage.stored().runs] == ["a"]
    assert stage.left() == 10


def test_run_that_only_estimates_is_admitted_without_a_budget(stage: Stage) -> None:
    stage.admit("a", 100)
    stage.admit("b", 100, until="Estimate")

    assert [entry.run for entry in stage.stored().runs] == ["a"]


def test_check_refuses_what_admit_would_refuse_and_adds_no_run(stage: Stage) -> None:
    stage.admit("a", 90)
    stage.budget().check(a_run("b", 10), 100)
    stage.budget().check(a_run("b", 20, until="Estimate"), 100)
    with pytest.raises(OverBudget) as refusal:
        stage.admit("b", 20)
    with pytest.raises(OverBudget, match=re.escape(str(refusal.value))):
        stage.budget().check(a_run("b", 20), 100)

    assert [entry.run for entry in stage.stored().runs] == ["a"]


def test_repeated_admission_counts_once(stage: Stage) -> None:
    for _ in range(3):
        stage.admit("a", 60)

    assert stage.left() == 40
    # At midnight at the end of the month too.
    december = datetime(2026, 12, 1, tzinfo=UTC)
    stage.admit("a", 60, december)
    assert stage.left(december) == 40


def test_second_execution_of_a_run_counts_once_and_ends_alone(stage: Stage) -> None:
    stage.admit("a", 60)
    stage.budget().admit(a_run("a", 60, "arn:again"), 100)
    stage.executions.ended["arn:again"] = NOW

    assert stage.left() == 40
    stage.end("a")
    stage.spend("a", 1)
    assert stage.left() == 99


def test_final_cost_outlives_the_ledger(stage: Stage) -> None:
    stage.admit("a", 60)
    stage.spend("a", 12)
    stage.end("a", NOW)
    stage.admit("b", 1, NOW + timedelta(minutes=59))
    assert stage.stored().runs[0].settled_usd is None

    stage.spend("a", 3)
    stage.admit("c", 1, NOW + timedelta(minutes=61))
    stage.data.client.delete_objects(Delete={"Objects": [{"Key": key} for key in stage.data.keys("work/")]})  # type: ignore[call-arg]
    stage.executions.described.clear()

    assert stage.stored().runs[0].settled_usd == 15
    assert stage.left(NOW + timedelta(hours=2)) == 100 - 15 - 2
    assert "arn:a" not in stage.executions.described


def test_execution_that_does_not_exist_is_new_within_an_hour_and_then_deleted(stage: Stage) -> None:
    stage.admit("a", 60)
    stage.end("a", None)

    assert stage.left(NOW + timedelta(minutes=59)) == 40
    assert stage.left(NOW + timedelta(minutes=61)) == 100


def test_run_counts_in_the_next_month_only_while_it_is_running(stage: Stage) -> None:
    stage.admit("a", 60, datetime(2026, 11, 29, tzinfo=UTC))
    stage.admit("b", 30, datetime(2026, 11, 30, tzinfo=UTC))
    december = datetime(2026, 12, 2, tzinfo=UTC)
    stage.spend("b", 20)
    stage.end("b", datetime(2026, 12, 1, tzinfo=UTC))

    assert stage.left(december) == 40
    with pytest.raises(OverBudget, match=r"reserved by running runs \(a\)"):
        stage.admit("c", 50, december)
    # An execution ends after at most seven days.
    stage.admit("c", 100, datetime(2026, 12, 20, tzinfo=UTC))


def test_runs_that_start_in_the_same_second_are_admitted_while_the_budget_lasts(stage: Stage) -> None:
    start = threading.Barrier(8)

    def admitted(number: int) -> bool:
        start.wait()
        try:
            stage.admit(f"r{number}", 30)
        except OverBudget:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(admitted, range(8)))

    assert results.count(True) == len(stage.stored().runs) == 3


class Racing(MemoryS3):
    """S3 in which another run is admitted right before each of the first ``races`` writes of the budget."""

    def __init__(self, stage: Stage, races: int) -> None:
        super().__init__()
        self.objects = stage.data.client.objects  # type: ignore[attr-defined]
        self._stage, self._races = stage, races

    def put_object(self, **arguments: Any) -> None:
        if self._races:
            self._races -= 1
            self._stage.admit(f"other{self._races}", 3)
        super().put_object(**arguments)


@pytest.mark.parametrize(("max_usd", "fits"), [(94, True), (95, False)])
def test_run_is_checked_again_if_another_one_was_admitted_meanwhile(stage: Stage, max_usd: float, fits: bool) -> None:
    racing = Bucket(Racing(stage, races=2), "data")  # type: ignore[arg-type]
    if fits:
        stage.budget(data=racing).admit(a_run("a", max_usd), 100)
    else:
        with pytest.raises(OverBudget, match=r"only \$94\.00 are left"):
            stage.budget(data=racing).admit(a_run("a", max_usd), 100)

    assert [entry.run for entry in stage.stored().runs] == ["other1", "other0", *(["a"] if fits else [])]


def test_run_that_loses_every_race_is_not_admitted(stage: Stage) -> None:
    racing = Bucket(Racing(stage, races=30), "data")  # type: ignore[arg-type]
    with pytest.raises(ServiceUnavailable, match=r"budget/2026-11\.json: other runs started at the same time"):
        stage.budget(data=racing).admit(a_run("a", 1), 100)

    assert "a" not in [entry.run for entry in stage.stored().runs]


_ENTRY = '{"runs": [{"run": "x", "created": "%s", "max_usd": %d, "executions": ["arn:x"]}]}'


@pytest.mark.parametrize(
    "body",
    ['{"runs": [', _ENTRY % ("never", 1), _ENTRY % ("2026-11-24T12:00:00", 1), _ENTRY % ("2026-11-24T12:00:00Z", -99)],
)
def test_damaged_budget_is_named_with_what_to_do(stage: Stage, body: str) -> None:
    stage.data.write(keys.month_budget_key("2026-11"), body.encode())
    with pytest.raises(ObjectDamaged, match=r"s3://data/budget/2026-11.json is damaged, .* Restore an earlier version"):
        stage.admit("a")


def test_budget_that_cannot_be_known_admits_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeExecution")

    stage.admit("a")
    monkeypatch.setattr(stage.executions, "describe_execution", denied)
    with pytest.raises(AccessDenied, match="execution arn:a: no"):
        stage.admit("b")

    assert [entry.run for entry in stage.stored().runs] == ["a"]
