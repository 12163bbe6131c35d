from __future__ import annotations

import pytest

from distillation.errors import InvalidRequest
from distillation.models.catalog import default_quota, models
from distillation.models.quotas import resolve_quotas
from distillation.records import Quota

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"


def test_stage_replaces_documented_quotas_and_request_lowers_them() -> None:
    stage = {PRO: Quota(requests_per_minute=500, tokens_per_day=50_000_000)}
    request = {PRO: Quota(tokens_per_minute=100_000, tokens_per_day=20_000_000)}
    quotas = resolve_quotas((PRO, LITE), stage, request)

    assert quotas[PRO] == Quota(requests_per_minute=500, tokens_per_minute=100_000, tokens_per_day=20_000_000)
    assert quotas[LITE] == default_quota(LITE)
    with pytest.raises(InvalidRequest, match=r"tokens_per_day of .* is 5e\+07 in this stage"):
        resolve_quotas((PRO, LITE), stage, {PRO: Quota(tokens_per_day=50_000_001)})


def test_default_tokens_per_day_are_those_of_1440_minutes() -> None:
    for model in models():
        quota = default_quota(model)
        assert quota.tokens_per_day == (quota.tokens_per_minute or 0) * 1_440


def test_inference_profile_has_its_own_documented_quota() -> None:
    ids = (PRO, f"us.{PRO}", "us.amazon.nova-2-lite-v1:0")

    assert [default_quota(id).requests_per_minute for id in ids] == [250, 500, 2_000]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PRO, "is 250 in this stage .* change 'quotas' of the stage in cdk.json"),
        ("local.teacher-pixels-v1:0", f"this run calls {PRO}, {LITE}, not"),
    ],
)
def test_request_cannot_raise_a_quota_or_set_one_of_another_model(model: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        resolve_quotas((PRO, LITE), {}, {model: Quota(requests_per_minute=251)})
