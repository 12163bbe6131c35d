"""Labels of the teacher on the flex tier, with the standard tier where flex fails, in virtual time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from distillation import keys, ledger
from distillation.errors import DailyQuotaExceeded, InvalidRequest, OverBudget, Throttled
from distillation.inference.labelling import label_batch
from distillation.inference.reservation import maximum_usd
from distillation.records import Answer, Quota, Run
from distillation.storage import Bucket
from local.bedrock.faults import ConverseFaults
from tests.support.builders import any_limits, any_run, image_names
from tests.support.fakes import bucket
from tests.support.labelling import NEW_ACCOUNT_QUOTA, PRO_QUOTA, label_with_retries, run_with_quota
from tests.support.simulated_bedrock import INPUT_TOKENS, OUTPUT_TOKENS, SimulatedBedrock
from tests.support.virtual_time import VirtualTime

STANDARD_USD = (INPUT_TOKENS * 0.8 + OUTPUT_TOKENS * 3.2) / 1e6
FLEX_USD = STANDARD_USD / 2
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def flex_faults(kind: str, share: float = 1.0, slow_seconds: float = 120) -> ConverseFaults:
    return ConverseFaults(shares={kind: share}, tier="flex", slow_seconds=slow_seconds)


def check_ledger(run: str, data: Bucket, bedrock: SimulatedBedrock) -> None:
    """Check that the ledger has each billed call once, at the price of its tier."""
    calls = {entry.tier: entry.calls for entry in ledger.summary(run, data).entries if entry.calls}
    assert calls == dict(bedrock.tiers)
    assert set(bedrock.answered.values()) == {1}
    stored = Counter(data.read_document(key, Answer).tier for key in data.keys("labels/"))
    assert stored == bedrock.tiers
    usd = bedrock.tiers["flex"] * FLEX_USD + bedrock.tiers["default"] * STANDARD_USD
    assert ledger.summary(run, data).usd == pytest.approx(usd)
    assert ledger.paid_and_reserved_usd(run, data) == (pytest.approx(usd, abs=1e-5), 0)


class RefusingBedrock(SimulatedBedrock):
    """Refuses every flex call."""

    code, message, refused = "ValidationException", "#: extraneous key [serviceTier] is not permitted", 0

    def converse(self, **request: Any) -> dict[str, Any]:
        if "serviceTier" in request:
            self.refused += 1
            details: Any = {"Error": {"Code": self.code, "Message": self.message}}
            raise ClientError(details, "Converse")
        return super().converse(**request)


def test_healthy_flex_answers_everything_at_half_the_price() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = SimulatedBedrock(time, PRO_QUOTA)
    lines, _ = label_with_retries(time, run_with_quota(PRO_QUOTA), image_names(100), data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 100
    assert bedrock.tiers == {"flex": 100}
    check_ledger("holiday-1", data, bedrock)


@pytest.mark.parametrize(
    "kind",
    [
        *("ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException", "InternalServerException"),
        "ModelTimeoutException",
    ],
)
def test_batch_continues_on_the_standard_tier_during_an_outage_of_flex(kind: str) -> None:
    time, data, images = VirtualTime(), bucket(), image_names(100)
    bedrock = SimulatedBedrock(time, PRO_QUOTA, flex_faults(kind))
    lines, invocations = label_with_retries(time, run_with_quota(PRO_QUOTA), images, data, bedrock)

    assert ([line.status for line in lines], invocations) == (["ok"] * 100, 1)
    assert bedrock.tiers == {"default": 100}
    assert bedrock.calls < 160  # The batch stays on the standard tier after a few failures.
    check_ledger("holiday-1", data, bedrock)


@pytest.mark.parametrize(("kind", "minimum"), [("ThrottlingException", 0.85), ("ModelTimeoutException", 0.7)])
def test_outage_of_flex_hardly_slows_concurrent_batches_down(kind: str, minimum: float) -> None:
    def minutes(faults: ConverseFaults, tier: str) -> float:
        time, data, images = VirtualTime(), bucket(), image_names(1000)
        bedrock, run = SimulatedBedrock(time, PRO_QUOTA, faults), run_with_quota(PRO_QUOTA, service_tier=tier)
        started = time.now()
        batches = [images[first : first + 100] for first in range(0, len(images), 100)]
        list(time.clock.pool(10).map(lambda batch: label_with_retries(time, run, batch, data, bedrock, 10), batches))
        check_ledger("holiday-1", data, bedrock)
        return (time.now() - started) / 60

    assert minutes(ConverseFaults(), "default") / minutes(flex_faults(kind), "auto") > minimum


def test_ledger_has_one_part_per_tier_and_counts_reused_answers_once() -> None:
    time, data, images = VirtualTime(), bucket(), image_names(100)
    bedrock = SimulatedBedrock(time, PRO_QUOTA, flex_faults("ServiceUnavailableException", 0.3))
    run = run_with_quota(PRO_QUOTA)
    label_with_retries(time, run, images[:40], data, bedrock)
    label_with_retries(time, run, images, data, bedrock)
    entries = {entry.tier: entry for entry in ledger.summary("holiday-1", data).entries}

    assert set(entries) == {"default", "flex"}
    assert sum(entry.reused for entry in entries.values()) == 40
    check_ledger("holiday-1", data, bedrock)


def test_exhausted_quota_slows_the_batch_down_and_most_questions_stay_on_flex() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = SimulatedBedrock(time, NEW_ACCOUNT_QUOTA)
    lines, _ = label_with_retries(time, run_with_quota(PRO_QUOTA), image_names(200), data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 200
    assert bedrock.tiers["flex"] > bedrock.tiers["default"]
    assert bedrock.throttled / bedrock.calls < 0.6
    check_ledger("holiday-1", data, bedrock)


def test_daily_quota_does_not_fall_back() -> None:
    time, data = VirtualTime(), bucket()
    bedrock, run = SimulatedBedrock(time, Quota(tokens_per_day=60_000)), run_with_quota(PRO_QUOTA)
    with pytest.raises(DailyQuotaExceeded):
        label_batch(run, image_names(100), data, bedrock, any_limits(time.clock))  # type: ignore[arg-type]

    assert set(bedrock.tiers) == {"flex"}
    check_ledger("holiday-1", data, bedrock)


def test_run_on_flex_never_falls_back_and_one_on_the_standard_tier_never_uses_flex() -> None:
    time, images = VirtualTime(), image_names(20)
    bedrock = SimulatedBedrock(time, PRO_QUOTA, flex_faults("ThrottlingException"))
    run = run_with_quota(PRO_QUOTA, service_tier="flex")
    with pytest.raises(Throttled):
        label_batch(run, images, bucket(), bedrock, any_limits(time.clock))  # type: ignore[arg-type]
    assert not bedrock.tiers

    label_with_retries(time, run_with_quota(PRO_QUOTA, service_tier="default"), images, bucket(), bedrock)
    assert bedrock.tiers == {"default": 20}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ValidationException", "#: extraneous key [serviceTier] is not permitted"),
        ("AccessDeniedException", "explicit deny in a service control policy"),
    ],
)
def test_model_that_refuses_the_tier_is_asked_on_the_standard_tier(code: str, message: str) -> None:
    time, data = VirtualTime(), bucket()
    bedrock = RefusingBedrock(time, PRO_QUOTA)
    bedrock.code, bedrock.message = code, message
    lines, _ = label_with_retries(time, run_with_quota(PRO_QUOTA), image_names(200), data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 200
    assert 0 < bedrock.refused <= 64  # Only calls that were sent before the first answer.
    check_ledger("holiday-1", data, bedrock)


def test_refusal_of_the_tier_in_unknown_words_sets_no_image_aside() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = RefusingBedrock(time, PRO_QUOTA)
    bedrock.message = "This model has no such processing mode."
    lines, _ = label_with_retries(time, run_with_quota(PRO_QUOTA), image_names(100), data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 100


def test_refused_tier_is_an_error_of_a_run_on_flex() -> None:
    time = VirtualTime()
    bedrock, run = RefusingBedrock(time, PRO_QUOTA), run_with_quota(PRO_QUOTA, service_tier="flex")
    with pytest.raises(InvalidRequest, match="service_tier in the request"):
        label_batch(run, image_names(5), bucket(), bedrock, any_limits(time.clock))  # type: ignore[arg-type]


def test_model_without_a_flex_price_is_asked_on_the_standard_tier() -> None:
    time, data, run = VirtualTime(), bucket(), any_run()
    bedrock = SimulatedBedrock(time)
    run = run.model_copy(update={"teacher": run.teacher.model_copy(update={"model": "amazon.nova-lite-v1:0"})})
    label_batch(run, image_names(2), data, bedrock, any_limits(time.clock))  # type: ignore[arg-type]

    assert bedrock.tiers == {"default": 2}


def reserved_run(max_usd: float) -> Run:
    return run_with_quota(PRO_QUOTA, max_usd=max_usd)


def test_budget_covers_all_answers_on_the_standard_tier_before_the_first_call() -> None:
    time, run, images = VirtualTime(), reserved_run(1.0), image_names(10)
    standard, auto, flex = (
        maximum_usd(run, run.teacher.model, run.teacher, 10, tier) for tier in ("default", "auto", "flex")
    )
    assert auto == standard == pytest.approx(2 * flex)
    bedrock = SimulatedBedrock(time, PRO_QUOTA, flex_faults("ThrottlingException"))
    with pytest.raises(OverBudget):
        label_batch(reserved_run(auto * 0.9), images, bucket(), bedrock, any_limits(time.clock))  # type: ignore[arg-type]
    assert bedrock.calls == 0

    data = bucket()
    label_batch(reserved_run(auto * 1.01), images, data, bedrock, any_limits(time.clock))  # type: ignore[arg-type]
    assert len(list(data.keys(keys.ledger_prefix(run.name)))) == 2  # A reservation and the part that settles it.
    check_ledger(run.name, data, bedrock)
