from __future__ import annotations

import datetime

import pytest

from distillation.errors import InvalidRequest
from distillation.models import catalog, prices


def test_every_price_has_a_unit_a_source_and_a_date() -> None:
    for row in prices.rows().values():
        assert row.usd > 0
        assert row.per > 0
        assert row.unit
        assert row.source
        assert row.date.year >= 2025


def test_every_model_has_the_prices_of_its_uses() -> None:
    for model in catalog.models().values():
        tuned = ("training", "storage") if model.training_id and model.id != "amazon.nova-pro-v1:0" else ()
        uses = ("input", "output", *tuned)
        assert all(model.price(use).usd > 0 for use in uses), model.id


def test_provisioned_throughput_of_nova_costs_60_50_an_hour() -> None:
    for model in ("amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0"):
        price = prices.price(model, "provisioned")
        assert (price.usd, price.per, price.unit, price.confirmed) == (60.5, 1, "model-unit-hours", True)


def test_missing_price_is_refused_with_the_file_to_change() -> None:
    with pytest.raises(
        InvalidRequest, match=r"'training' of 'new-model'. Add the row to distillation/models/prices.toml"
    ):
        prices.price("new-model", "training")


def test_unconfirmed_and_old_prices_give_warnings() -> None:
    training = prices.price("amazon.nova-lite-v1:0", "training")
    fresh = prices.price("us.amazon.nova-2-lite-v1:0", "training")
    newer = prices.price("us.amazon.nova-2-lite-v1:0", "input")
    day = datetime.timedelta(days=1)

    assert prices.warnings([training, training], training.date) == [
        "not confirmed by an official price list: the price of amazon.nova-lite-v1:0 training"
    ]
    assert prices.warnings([fresh], fresh.date + 180 * day) == []
    assert prices.warnings([newer, fresh, fresh], fresh.date + 181 * day) == [
        "older than 180 days: 1 of 2 prices, the oldest of 2026-08-02 (us.amazon.nova-2-lite-v1:0 training). "
        "Update distillation/models/prices.toml."
    ]
    assert len(prices.warnings([newer, fresh], newer.date + 181 * day)) == 1
