from __future__ import annotations

from local.aws.retry_delay import retry_delay

RETRIER = {"IntervalSeconds": 10, "BackoffRate": 2, "MaxDelaySeconds": 30}


def test_delay_grows_up_to_its_maximum() -> None:
    assert [retry_delay(RETRIER, retries) for retries in range(4)] == [10, 20, 30, 30]
    assert retry_delay(RETRIER, 2_000) == 30


def test_delay_with_full_jitter_is_random_between_0_and_the_computed_one() -> None:
    jittered = {retry_delay(RETRIER | {"JitterStrategy": "FULL"}, 3) for _ in range(50)}

    assert len(jittered) > 40
    assert 0 <= min(jittered) <= max(jittered) <= 30
