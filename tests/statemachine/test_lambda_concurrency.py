"""Runs in an account with few concurrent Lambda functions, simulated with the retries of the definition."""

from __future__ import annotations

import pytest

from benchmarks.concurrency import figures, policy_before, policy_now


@pytest.mark.parametrize(("runs", "photos"), [(1, 3_000), (2, 1_000), (2, 10_000)])
def test_no_run_fails_in_an_account_with_ten_concurrent_functions(runs: int, photos: int) -> None:
    row = figures(policy_now(), 10, runs, photos, repeats=2)

    assert (row["failed"], row["failed_in"]) == (0, [])
    # Far from the 999 retries after which a state gives up.
    assert row["retries"] < 250


def test_earlier_retries_of_two_minutes_were_not_enough() -> None:
    assert figures(policy_before(), 10, 2, 3_000, repeats=2)["failed"] > 0.5
