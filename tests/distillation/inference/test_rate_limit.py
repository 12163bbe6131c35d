"""Batches of the real labelling code in virtual time: quotas kept, faults healed, nothing lost, nothing paid twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from distillation import keys, ledger
from distillation.errors import AccessDenied, BatchUnfinished, Throttled
from distillation.inference.labelling import label_batch
from distillation.inference.rate_limit import RateLimiter, concurrent_batches
from distillation.records import AnswerLine, Quota, Run
from distillation.storage import Bucket
from local.bedrock.faults import KINDS, SLOW, ConverseFaults
from tests.support.bedrock import SimulatedBedrock
from tests.support.builders import any_limits, any_run
from tests.support.fakes import MemoryS3, bucket
from tests.support.virtual_time import VirtualTime

PRO = Quota(requests_per_minute=250, tokens_per_minute=1_000_000)
SLOW_ACCOUNT = Quota(requests_per_minute=25, tokens_per_minute=1_000_000)


def images(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def run_within(quota: Quota, name: str = "holiday-1") -> Run:
    run = any_run(max_usd=1e6)
    return run.model_copy(update={"name": name, "quotas": {run.teacher.model: quota}})


def labelled(
    time: VirtualTime, run: Run, names: list[str], data: Bucket, bedrock: Any, seconds: float = 750, at_once: int = 1
) -> tuple[list[AnswerLine], int]:
    """Label a batch as the state machine would; return its lines and how many functions it took."""
    for attempt in range(1, 200):
        try:
            return label_batch(run, names, data, bedrock, any_limits(time.clock, seconds, at_once)), attempt
        except (BatchUnfinished, Throttled):
            time.sleep(5)
    raise AssertionError("the batch does not end")


def paid_calls(data: Bucket, *runs: str) -> int:
    return int(sum(entry["calls"] for run in runs for entry in ledger.summary(data, run)["entries"]))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_at_a_fifth_of_calls_is_absorbed(kind: str) -> None:
    time, data = VirtualTime(), bucket()
    faults = ConverseFaults(shares={kind: 0.2}, slow_seconds=60)
    bedrock = SimulatedBedrock(time, PRO, faults)
    lines, functions = labelled(time, run_within(PRO), images(100), data, bedrock)

    assert functions == 1
    assert [line.status for line in lines] == ["ok"] * 100
    assert bedrock.calls > 100 or kind == SLOW
    assert set(bedrock.answered.values()) == {1}
    assert paid_calls(data, "holiday-1") == len(bedrock.answered) == 100


@pytest.mark.parametrize(("quota", "most_throttled"), [(PRO, 0.1), (SLOW_ACCOUNT, 0.1)])
def test_quota_is_used_up_and_hardly_ever_passed(quota: Quota, most_throttled: float) -> None:
    time, data, names = VirtualTime(), bucket(), images(1000)
    run, bedrock = run_within(quota), SimulatedBedrock(time, quota)
    at_once = concurrent_batches(run, run.teacher.model, len(names), 30)
    batches = [names[first : first + 100] for first in range(0, len(names), 100)]
    began = time.now()
    ended = time.clock.pool(at_once).map(
        lambda batch: labelled(time, run, batch, data, bedrock, at_once=at_once), batches
    )

    assert {functions for _, functions in ended} == {1}
    assert set(bedrock.answered.values()) == {1}
    assert len(bedrock.answered) == 1000
    assert bedrock.throttled / bedrock.calls <= most_throttled
    assert 1000 / (time.now() - began) * 60 >= 0.95 * (quota.requests_per_minute or 0)


def test_tokens_that_a_call_did_not_use_are_given_back() -> None:
    time = VirtualTime()
    pace = RateLimiter(Quota(requests_per_minute=60_000, tokens_per_minute=60_000), any_limits(time.clock))
    first = pace.reserve_start(2_000)
    pace.return_unused(1_500)

    assert pace.reserve_start(2_000) - first == pytest.approx(0.5)
    assert pace.reserve_start(2_000) - first == pytest.approx(2.5)


def test_unknown_lower_quota_slows_the_pace_and_loses_nothing() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = SimulatedBedrock(time, SLOW_ACCOUNT)
    lines, _ = labelled(time, run_within(PRO), images(100), data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 100
    assert set(bedrock.answered.values()) == {1}
    assert ledger.summary(data, "holiday-1")["entries"][0]["throttled"] == bedrock.throttled > 0


def test_batch_hands_over_before_its_function_ends_and_loses_nothing() -> None:
    time, data = VirtualTime(), bucket()
    quota = Quota(requests_per_minute=5)
    bedrock = SimulatedBedrock(time, quota)
    began = time.now()
    with pytest.raises(BatchUnfinished, match="of 100 images have an answer"):
        label_batch(run_within(quota), images(100), data, bedrock, any_limits(time.clock, 750))  # type: ignore[arg-type]
    assert time.now() - began < 780
    assert paid_calls(data, "holiday-1") == len(bedrock.answered) > 50
    lines, functions = labelled(time, run_within(quota), images(100), data, bedrock)

    assert functions == 1
    assert Counter(line.reused for line in lines)[True] > 50
    assert set(bedrock.answered.values()) == {1}
    assert paid_calls(data, "holiday-1") == 100


def test_batch_that_got_no_answer_at_all_is_throttled() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = SimulatedBedrock(time, PRO, ConverseFaults(shares={"ServiceUnavailableException": 1.0}))
    with pytest.raises(Throttled, match="0 of 20 images"):
        label_batch(run_within(PRO), images(20), data, bedrock, any_limits(time.clock))  # type: ignore[arg-type]

    assert paid_calls(data, "holiday-1") == 0
    assert not list(data.keys(keys.parts_prefix("holiday-1", "label")))


class Picky(SimulatedBedrock):
    """Fails at one image, or refuses everybody."""

    failing = "ModelErrorException"

    def converse(self, **question: Any) -> dict[str, Any]:
        if images(1)[0] in str(question) or self.failing == "AccessDeniedException":
            self.calls += 1
            details: Any = {"Error": {"Code": self.failing, "Message": "no"}}
            raise ClientError(details, "Converse")
        return super().converse(**question)


def test_image_at_which_the_model_fails_again_and_again_is_a_line_with_a_reason() -> None:
    time = VirtualTime()
    lines, functions = labelled(time, run_within(PRO), images(20), bucket(), Picky(time, PRO))

    assert functions == 1
    assert [line.status for line in lines] == ["refused"] + ["ok"] * 19
    assert "no answer in 6 attempts" in (lines[0].reason or "")


def test_what_no_waiting_heals_ends_the_batch_at_once() -> None:
    time = VirtualTime()
    bedrock = Picky(time, PRO)
    bedrock.failing = "AccessDeniedException"
    with pytest.raises(AccessDenied):
        label_batch(run_within(PRO), images(100), bucket(), bedrock, any_limits(time.clock))  # type: ignore[arg-type]

    assert bedrock.calls <= 33  # What was under way; the others were not asked.


def test_two_runs_at_once_pay_twice_for_no_more_than_calls_that_were_under_way_together() -> None:
    time, data, names = VirtualTime(), bucket(), images(200)
    bedrock = SimulatedBedrock(time)
    runs = [run_within(PRO, name) for name in ("holiday-1", "holiday-2")]
    ended = list(time.clock.pool(2).map(lambda run: labelled(time, run, names, data, bedrock), runs))

    for lines, _ in ended:
        assert [line.status for line in lines] == ["ok"] * 200
    # Each run leaves the other what that one asks about, so that together they pay for one label each.
    assert sum(bedrock.answered.values()) == 200
    assert paid_calls(data, "holiday-1", "holiday-2") == 200
    assert {line.text for line in ended[0][0]} == {line.text for line in ended[1][0]}


class Unwilling(SimulatedBedrock):
    """Throttles all for its first ten minutes."""

    def converse(self, **question: Any) -> dict[str, Any]:
        if self.time.now() < 600:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Converse")
        return super().converse(**question)


def test_turn_is_kept_while_its_run_is_throttled() -> None:
    time, data = VirtualTime(), bucket()
    run, bedrock = run_within(PRO), Unwilling(time, PRO)
    (image,) = images(1)
    labelled(time, run, [image], data, bedrock)
    turn = data.read_json(keys.lock_key(keys.label_key(run.teacher.id, image, 0)))

    assert time.now() >= 600
    assert turn["until"] > time.now()


def test_turn_of_a_run_that_died_is_taken_over() -> None:
    time, data, names = VirtualTime(), bucket(), images(20)
    dead = run_within(PRO, "holiday-1")
    bedrock = SimulatedBedrock(time)
    for name in names[:3]:
        key = keys.label_key(dead.teacher.id, name, 0)
        data.write_json(keys.lock_key(key), {"run": "holiday-1", "until": time.now() + 300})
    began = time.now()
    lines, _ = labelled(time, run_within(PRO, "holiday-2"), names, data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 20
    assert 300 <= time.now() - began < 360
    assert labelled(time, dead, names, data, bedrock)[0] == [replace_reused(line) for line in lines]


def replace_reused(line: AnswerLine) -> AnswerLine:
    return line.model_copy(update={"reused": True})


class Contended(MemoryS3):
    """A bucket in which another writer is at each turn, the first time that it is claimed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def put_object(self, *, Key: str, **rest: Any) -> None:  # noqa: N803 - boto3's names
        if Key.startswith("work/turns/") and Key not in self.seen:
            self.seen.add(Key)
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
        super().put_object(Key=Key, **rest)


def test_turn_that_is_being_written_by_another_is_looked_at_again() -> None:
    time, data = VirtualTime(), Bucket(Contended(), "data")  # type: ignore[arg-type] - in memory
    bedrock = SimulatedBedrock(time)
    lines, functions = labelled(time, run_within(PRO), images(20), data, bedrock)

    assert (functions, [line.status for line in lines]) == (1, ["ok"] * 20)
    assert set(bedrock.answered.values()) == {1}


@pytest.mark.parametrize(
    ("quota", "count", "expected"),
    [
        (PRO, 20_000, 10),
        (PRO, 100, 1),
        (PRO, 45, 1),
        (SLOW_ACCOUNT, 20_000, 1),
        (Quota(requests_per_minute=2_000, tokens_per_minute=8_000_000), 20_000, 25),
        (Quota(requests_per_minute=1), 20_000, 1),
        (Quota(), 1_000, 10),
    ],
)
def test_as_many_batches_at_once_as_use_up_the_quota_in_batches_of_minutes(
    quota: Quota, count: int, expected: int
) -> None:
    run = run_within(quota)

    assert concurrent_batches(run, run.teacher.model, count, 30) == expected


@pytest.mark.parametrize(("batches", "seconds"), [(1, 2.4), (10, 24)])
def test_batches_at_once_share_the_quota(batches: int, seconds: float) -> None:
    time = VirtualTime()
    pace = RateLimiter(PRO, any_limits(time.clock, batches=batches))
    starts = [pace.reserve_start(0) for _ in range(11)]

    assert starts[10] - starts[0] == pytest.approx(seconds)
