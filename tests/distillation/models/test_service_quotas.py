from __future__ import annotations

from typing import Any

import pytest

from distillation.errors import QuotaExceeded, Throttled
from distillation.models.service_quotas import check_quotas, read_tokens_per_day
from tests.support.account import StubbedAccount
from tests.support.builders import any_run

CODES = ["L-CB5B847D", "L-430C95DD", "L-031F46A7"]
"""Quotas of custom models, of deployments in progress and of training records, in the order of the checks."""


def check(aws: StubbedAccount, **request: Any) -> None:
    check_quotas(any_run(**request), aws.account.bedrock, aws.account.quotas)


@pytest.mark.parametrize(
    ("models", "quotas", "request_fields", "message"),
    [
        (99, [100], {"train_sizes": [10, 20]}, "custom models of the account is 100, with 99 in use and 2 more needed"),
        (0, [100, 0], {}, "custom model deployments in progress is 0, with 1 more needed"),
        (0, [100, 2, 500], {"train_sizes": [300], "duplicate_records": 2}, "is 500, with 600 more .* train_sizes"),
    ],
)
def test_quota_that_is_too_small_is_an_error_with_its_code(
    aws: StubbedAccount, models: int, quotas: list[float], request_fields: dict[str, Any], message: str
) -> None:
    aws.expect_custom_models(models)
    codes = CODES[: len(quotas)]
    for code, value in zip(codes, quotas, strict=True):
        aws.expect_quota(code, value)
    with pytest.raises(QuotaExceeded, match=f"{message}.*{codes[-1]}"):
        check(aws, **request_fields)


@pytest.mark.parametrize(
    ("model", "code", "factor"),
    [
        ("amazon.nova-pro-v1:0", "L-D690997B", 1),
        ("us.amazon.nova-pro-v1:0", "L-D690997B", 2),
        ("us.amazon.nova-2-lite-v1:0", "L-210172B5", 2),
        ("global.amazon.nova-2-lite-v1:0", "L-AD940EDE", 1),
    ],
)
def test_cross_region_profile_has_twice_the_tokens_per_day_of_its_model(
    aws: StubbedAccount, model: str, code: str, factor: int
) -> None:
    aws.expect_quota(code, 1_000)

    assert read_tokens_per_day(model, aws.account.quotas) == 1_000 * factor


def test_tokens_per_day_without_an_applied_quota_or_a_code_cannot_be_read(aws: StubbedAccount) -> None:
    aws.quotas.add_client_error("get_service_quota", "NoSuchResourceException")

    assert read_tokens_per_day("amazon.nova-pro-v1:0", aws.account.quotas) is None
    assert read_tokens_per_day("us.anthropic.claude-sonnet-4-6", aws.account.quotas) is None


def test_quotas_that_suffice_pass(aws: StubbedAccount) -> None:
    aws.expect_custom_models(99)
    for code, value in zip(CODES, (100, 2, 20_000), strict=True):
        aws.expect_quota(code, value)
    check(aws)


def test_account_without_an_applied_quota_has_the_default_of_aws(aws: StubbedAccount) -> None:
    aws.expect_custom_models(5)
    aws.quotas.add_client_error("get_service_quota", "NoSuchResourceException")
    aws.quotas.add_response("get_aws_default_service_quota", {"Quota": {"Value": 5}})
    with pytest.raises(QuotaExceeded, match="is 5, with 5 in use and 1 more needed"):
        check(aws)


def test_quota_that_cannot_be_read_does_not_stop_the_run(aws: StubbedAccount) -> None:
    aws.expect_custom_models(5)
    for code in ("AccessDeniedException", "400", "TooManyRequestsException"):
        aws.quotas.add_client_error("get_service_quota", code)
    check(aws)


def test_throttled_listing_of_custom_models_is_an_error_that_the_state_machine_retries(aws: StubbedAccount) -> None:
    aws.bedrock.add_client_error("list_custom_models", "ThrottlingException")
    with pytest.raises(Throttled):
        check(aws)
