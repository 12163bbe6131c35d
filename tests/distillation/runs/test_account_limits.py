from __future__ import annotations

import pytest

from distillation.errors import DailyQuotaExceeded, QuotaExceeded
from distillation.records import Concurrency, Quota, Run
from distillation.runs.account_limits import apply_daily_quotas, cap_concurrency, check_refused_probe
from tests.support.account import StubbedAccount
from tests.support.builders import any_run

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
PRO_CODE, LITE_CODE = "L-D690997B", "L-45E0AD92"
REFUSED = DailyQuotaExceeded("Too many tokens per day. Either used up or 0")


def run_with(pro: float | None = None, **fields: object) -> Run:
    """Return a run; ``pro`` is the teacher's tokens per day that the stage or the request sets."""
    request = {"until": fields.pop("until")} if "until" in fields else {}
    quotas = {PRO: Quota(tokens_per_day=pro)} if pro else {}
    return any_run(**request).model_copy(update={"quotas": quotas, **fields})


@pytest.mark.parametrize(
    ("limit", "resize", "label", "predict"), [(1000, 20, 30, 5), (10, 8, 8, 5), (3, 1, 1, 1), (1, 1, 1, 1)]
)
def test_two_concurrent_functions_stay_free_and_one_batch_runs(
    aws: StubbedAccount, limit: int, resize: int, label: int, predict: int
) -> None:
    run = run_with(concurrency=Concurrency(resize=20, label=30, predict=5))
    limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": limit}
    aws.functions.add_response("get_account_settings", {"AccountLimit": limits})

    assert cap_concurrency(run, aws.account.functions).concurrency == Concurrency(
        resize=resize, label=label, predict=predict
    )


def test_lambda_concurrency_that_cannot_be_read_changes_nothing(aws: StubbedAccount) -> None:
    run = run_with(concurrency=Concurrency(resize=20, label=30, predict=5))
    aws.functions.add_client_error("get_account_settings", "AccessDeniedException")
    aws.functions.add_response("get_account_settings", {"AccountLimit": {}})

    assert cap_concurrency(run, aws.account.functions) == run
    assert cap_concurrency(run, aws.account.functions) == run


@pytest.mark.parametrize(("stage", "account", "expected"), [(None, 10e6, 10e6), (5e6, 10e6, 5e6), (20e6, 10e6, 10e6)])
def test_lower_of_the_accounts_and_the_users_tokens_per_day_applies(
    aws: StubbedAccount, stage: float | None, account: float, expected: float
) -> None:
    aws.expect_quota(PRO_CODE, account)
    aws.expect_quota(LITE_CODE, 5_760_000_000)
    run = apply_daily_quotas(run_with(stage), aws.account.quotas)

    assert run.quota(PRO).tokens_per_day == expected
    assert run.quota(LITE).tokens_per_day == 5_760_000_000
    assert run.images_per_batch == 100


def test_batches_fit_into_a_small_daily_quota(aws: StubbedAccount) -> None:
    aws.expect_quota(PRO_CODE, 100_000)

    assert 20 < apply_daily_quotas(run_with(until="LabelImages"), aws.account.quotas).images_per_batch < 35


@pytest.mark.parametrize(("pro", "lite", "model", "code"), [(0, 1, PRO, PRO_CODE), (1e9, 0, LITE, LITE_CODE)])
def test_daily_quota_of_zero_ends_the_run_with_its_code_and_what_to_do(
    aws: StubbedAccount, pro: float, lite: float, model: str, code: str
) -> None:
    aws.expect_quota(PRO_CODE, pro)
    if pro:
        aws.expect_quota(LITE_CODE, lite)
    with pytest.raises(QuotaExceeded, match=f"tokens per day for {model} is 0.*AWS Support.*{code}"):
        apply_daily_quotas(run_with(), aws.account.quotas)


def test_daily_quota_too_small_for_one_question_or_for_the_smallest_run_is_refused(aws: StubbedAccount) -> None:
    aws.expect_quota(PRO_CODE, 1_000)
    with pytest.raises(
        QuotaExceeded, match=r"one question to amazon.nova-pro-v1:0 takes 1,\d{3} tokens, more than the 1,000"
    ):
        apply_daily_quotas(run_with(until="LabelImages"), aws.account.quotas)
    aws.expect_quota(PRO_CODE, 1e9)
    aws.expect_quota(LITE_CODE, 2_000)
    with pytest.raises(QuotaExceeded, match=r"the run needs 6\.\d days .*amazon.nova-lite-v1:0 needs 1\d,\d{3} tokens"):
        apply_daily_quotas(run_with(), aws.account.quotas)


def test_run_until_estimate_reads_no_quota(aws: StubbedAccount) -> None:
    run = run_with(until="Estimate")

    assert apply_daily_quotas(run, aws.account.quotas) == run


def test_probe_refused_for_the_day_ends_the_run_only_if_the_quota_is_unknown(aws: StubbedAccount) -> None:
    aws.expect_quota(PRO_CODE, 1_000_000)
    check_refused_probe(run_with(), aws.account.quotas, REFUSED)
    for error in ("AccessDeniedException", "NoSuchResourceException"):
        aws.quotas.add_client_error("get_service_quota", error)
    check_refused_probe(run_with(1_000_000), aws.account.quotas, REFUSED)
    with pytest.raises(
        QuotaExceeded, match=r"Either used up or 0.*could not be read.*start again tomorrow.*L-D690997B"
    ):
        check_refused_probe(run_with(), aws.account.quotas, REFUSED)
