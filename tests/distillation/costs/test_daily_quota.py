from __future__ import annotations

import datetime
from typing import Any

import pytest

from distillation.costs.daily_quota import check_daily_quotas, daily_quota_uses, daily_quota_warnings, days_needed
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import predict_workload
from distillation.errors import QuotaExceeded
from distillation.records import Quota, Run
from tests.support.builders import any_run

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
TODAY = datetime.date(2026, 9, 1)
LANDSCAPE = (900, 600)


def run_with_tokens_per_day(teacher: float | None, student: float | None = None, **request: Any) -> Run:
    quotas = {PRO: Quota(tokens_per_day=teacher), LITE: Quota(tokens_per_day=student)}
    return any_run(**request).model_copy(update={"quotas": quotas})


def test_days_are_tokens_divided_by_the_daily_quota_and_add_up() -> None:
    uses = daily_quota_uses(run_with_tokens_per_day(100_000, 200_000), {PRO: 350_000.4, LITE: 100_000})

    assert [(use.model, use.tokens, use.days) for use in uses] == [(PRO, 350_000, 3.5), (LITE, 100_000, 0.5)]
    assert days_needed(uses) == 4.0


def test_model_without_a_known_quota_or_without_tokens_is_left_out() -> None:
    assert daily_quota_uses(run_with_tokens_per_day(None, 10), {PRO: 5, LITE: 0}) == []


def test_more_than_six_days_are_refused_with_tokens_codes_and_remedies() -> None:
    run = run_with_tokens_per_day(100_000, 200_000)
    check_daily_quotas(daily_quota_uses(run, {PRO: 600_000}))
    message = (
        r"needs 6\.1 days of the account's tokens per day, more than the 6 .*amazon.nova-pro-v1:0 needs 600,000 tokens "
        r"at 100,000 a day; .*Use fewer photos.*stored labels are reused.*L-D690997B .*L-45E0AD92"
    )
    with pytest.raises(QuotaExceeded, match=message):
        check_daily_quotas(daily_quota_uses(run, {PRO: 600_000, LITE: 20_000}))


def test_run_that_uses_more_than_half_of_a_daily_quota_has_a_warning() -> None:
    run = run_with_tokens_per_day(100_000)

    assert daily_quota_warnings(daily_quota_uses(run, {PRO: 50_000})) == []
    (near,) = daily_quota_warnings(daily_quota_uses(run, {PRO: 60_000}))
    (over,) = daily_quota_warnings(daily_quota_uses(run, {PRO: 250_000}))
    assert near.startswith("the run uses 0.6 times the daily quota")
    assert near.endswith("if other calls use the rest.")
    assert over.startswith("the run uses 2.5 times the daily quota")
    assert over.endswith("until the quota is renewed.")


def test_estimate_counts_the_tokens_of_the_steps_that_the_run_reaches() -> None:
    def uses(**request: Any) -> dict[str, int]:
        run = run_with_tokens_per_day(1e6, 1e6, **request)
        estimate = estimate_run(run, predict_workload(run, [LANDSCAPE] * 100, 0), {}, TODAY)
        return {use.model: use.tokens for use in estimate.daily_quotas}

    question = len((any_run().prompt.system + any_run().prompt.user).encode()) / 4 + 10 + 900 * 600 / 625 + 120
    assert uses(baseline=False) == {
        PRO: pytest.approx(1.05 * (100 + 25) * question, rel=0.001),
        LITE: pytest.approx(25 * question, rel=0.001),
    }
    # The baseline round asks base a second time, with five answers as examples.
    assert uses() == {
        PRO: pytest.approx(1.05 * (100 + 25) * question, rel=0.001),
        LITE: pytest.approx(25 * (2 * question + 5 * 120), rel=0.001),
    }
    assert uses(until="LabelImages") == {PRO: pytest.approx(1.05 * 100 * question, rel=0.001)}
    assert uses(until="Estimate") == {}
