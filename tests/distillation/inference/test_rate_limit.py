from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from distillation import ledger
from distillation.errors import AccessDenied, BatchUnfinished, DailyQuotaExceeded
from distillation.inference.labelling import label_batch
from distillation.inference.rate_limit import RateLimiter, concurrent_batches, images_per_batch
from distillation.records import Quota, Request
from local.bedrock.faults import KINDS, SLOW, ConverseFaults
from tests.support.builders import any_limits, image_names
from tests.support.fakes import bucket
from tests.support.labelling import NEW_ACCOUNT_QUOTA, PRO_QUOTA, billed_calls, label_with_retries, run_with_quota
from tests.support.simulated_bedrock import SimulatedBedrock
from tests.support.virtual_time import VirtualTime


@pytest.mark.parametrize(
    ("quota", "count", "expected"),
    [
        (PRO_QUOTA, 20_000, 10),
        (PRO_QUOTA, 100, 1),
        (PRO_QUOTA, 45, 1),
        (NEW_ACCOUNT_QUOTA, 20_000, 1),
        (Quota(requests_per_minute=2_000, tokens_per_minute=8_000_000), 20_000, 25),
        (Quota(requests_per_minute=1), 20_000, 1),
        (Quota(), 1_000, 10),
    ],
)
def test_number_of_concurrent_batches_lets_each_take_minutes(quota: Quota, count: int, expected: int) -> None:
    run = run_with_quota(quota)

    assert concurrent_batches(run, run.teacher.model, count, 30) == expected


def test_images_that_need_more_than_a_day_of_tokens_are_labelled_in_small_batches_one_after_another() -> None:
    run = run_with_quota(PRO_QUOTA.model_copy(update={"tokens_per_day": 1_000_000}))

    assert images_per_batch(run) == 100
    assert concurrent_batches(run, run.teacher.model, 500, 30) > 1
    assert concurrent_batches(run, run.teacher.model, 1_000, 30) == 1
    small = run_with_quota(Quota(tokens_per_day=100_000))
    assert images_per_batch(small) == 29
    assert images_per_batch(small.model_copy(update={"request": Request(samples_per_image=3)})) == 9
    assert images_per_batch(run_with_quota(Quota(tokens_per_day=1))) == 1


@pytest.mark.parametrize(("batches", "seconds"), [(1, 2.4), (10, 24)])
def test_concurrent_batches_share_the_quota(batches: int, seconds: float) -> None:
    time = VirtualTime()
    limiter = RateLimiter(PRO_QUOTA, any_limits(time.clock, batches=batches))
    starts = [limiter.reserve_start(0) for _ in range(11)]

    assert starts[10] - starts[0] == pytest.approx(seconds)


def test_unused_tokens_of_a_call_are_returned() -> None:
    time = VirtualTime()
    limiter = RateLimiter(Quota(requests_per_minute=60_000, tokens_per_minute=60_000), any_limits(time.clock))
    first = limiter.reserve_start(2_000)
    limiter.return_unused(1_500)

    assert limiter.reserve_start(2_000) - first == pytest.approx(0.5)
    assert limiter.reserve_start(2_000) - first == pytest.approx(2.5)


@pytest.mark.parametrize(("quota", "maximum_throttled"), [(PRO_QUOTA, 0.1), (NEW_ACCOUNT_QUOTA, 0.1)])
def test_batches_use_the_whole_quota_and_are_rarely_throttled(quota: Quota, maximum_throttled: float) -> None:
    time, data, images = VirtualTime(), bucket(), image_names(1000)
    run, bedrock = run_with_quota(quota), SimulatedBedrock(time, quota)
    count = concurrent_batches(run, run.teacher.model, len(images), 30)
    batches = [images[first : first + 100] for first in range(0, len(images), 100)]
    started = time.now()
    results = time.clock.pool(count).map(
        lambda batch: label_with_retries(time, run, batch, data, bedrock, concurrent_batches=count), batches
    )

    assert {invocations for _, invocations in results} == {1}
    assert set(bedrock.answered.values()) == {1}
    assert len(bedrock.answered) == 1000
    assert bedrock.throttled / bedrock.calls <= maximum_throttled
    assert 1000 / (time.now() - started) * 60 >= 0.95 * (quota.requests_per_minute or 0)


def test_batch_slows_down_for_a_quota_lower_than_documented_and_loses_nothing() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = SimulatedBedrock(time, NEW_ACCOUNT_QUOTA)
    run = run_with_quota(PRO_QUOTA, service_tier="default")
    lines, _ = label_with_retries(time, run, image_names(100), data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 100
    assert set(bedrock.answered.values()) == {1}
    assert ledger.summary("holiday-1", data).entries[0].throttled == bedrock.throttled > 0


@pytest.mark.parametrize("kind", KINDS)
def test_fault_in_a_fifth_of_the_calls_is_retried(kind: str) -> None:
    time, data = VirtualTime(), bucket()
    faults = ConverseFaults(shares={kind: 0.2}, slow_seconds=60)
    bedrock = SimulatedBedrock(time, PRO_QUOTA, faults)
    lines, invocations = label_with_retries(time, run_with_quota(PRO_QUOTA), image_names(100), data, bedrock)

    assert invocations == 1
    assert [line.status for line in lines] == ["ok"] * 100
    assert bedrock.calls > 100 or kind == SLOW
    assert set(bedrock.answered.values()) == {1}
    assert billed_calls(data, "holiday-1") == len(bedrock.answered) == 100


class FailingBedrock(SimulatedBedrock):
    """Raises one error code: AccessDeniedException for all images, other codes for the first image."""

    code = "ModelErrorException"

    def converse(self, **question: Any) -> dict[str, Any]:
        if image_names(1)[0] in str(question) or self.code == "AccessDeniedException":
            self.calls += 1
            details: Any = {"Error": {"Code": self.code, "Message": "no"}}
            raise ClientError(details, "Converse")
        return super().converse(**question)


def test_image_at_which_the_model_fails_repeatedly_is_set_aside() -> None:
    time = VirtualTime()
    bedrock = FailingBedrock(time, PRO_QUOTA)
    lines, invocations = label_with_retries(time, run_with_quota(PRO_QUOTA), image_names(20), bucket(), bedrock)

    assert invocations == 1
    assert [line.status for line in lines] == ["refused"] + ["ok"] * 19
    assert "no answer in 6 attempts" in (lines[0].reason or "")


def test_error_that_is_not_retried_ends_the_batch_immediately() -> None:
    time = VirtualTime()
    bedrock = FailingBedrock(time, PRO_QUOTA)
    bedrock.code = "AccessDeniedException"
    run = run_with_quota(PRO_QUOTA, service_tier="default")
    with pytest.raises(AccessDenied):
        label_batch(run, image_names(100), bucket(), bedrock, any_limits(time.clock))  # type: ignore[arg-type]

    assert bedrock.calls <= 33  # Only calls that were in flight.


def test_daily_quota_ends_the_batch_immediately_and_its_answers_are_kept() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = SimulatedBedrock(time, Quota(tokens_per_day=60_000))
    run = run_with_quota(PRO_QUOTA)
    with pytest.raises(DailyQuotaExceeded, match="Too many tokens per day"):
        label_batch(run, image_names(100), data, bedrock, any_limits(time.clock))  # type: ignore[arg-type]

    assert bedrock.throttled <= 32  # Only calls that were in flight; no other is sent.
    assert len(list(data.keys("labels/"))) == billed_calls(data, "holiday-1") == len(bedrock.answered) > 20


def test_run_of_five_days_of_quota_fits_into_the_hourly_retries_and_pays_nothing_twice() -> None:
    time, data, images = VirtualTime(), bucket(), image_names(600)
    quota = Quota(requests_per_minute=250, tokens_per_day=150_000)
    bedrock, run = SimulatedBedrock(time, quota), run_with_quota(quota)
    size, started, hours = images_per_batch(run), time.now(), [0]
    assert concurrent_batches(run, run.teacher.model, len(images), 30) == 1

    def label(batch: list[str]) -> None:
        while True:
            try:
                label_batch(run, batch, data, bedrock, any_limits(time.clock, seconds=750))  # type: ignore[arg-type]
            except DailyQuotaExceeded:
                hours[-1] += 1
                time.sleep(3600)
            except BatchUnfinished:
                time.sleep(5)
            else:
                return

    for first in range(0, len(images), size):
        hours.append(0)
        label(images[first : first + size])

    assert max(hours) <= 26
    assert 4 * 86_400 < time.now() - started < 6 * 86_400
    assert len(bedrock.answered) == billed_calls(data, "holiday-1") == 600
    assert set(bedrock.answered.values()) == {1}
