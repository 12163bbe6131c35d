from __future__ import annotations

import pytest

from distillation import keys, ledger
from distillation.records import LedgerPart
from distillation.storage import Bucket
from tests.support.fakes import bucket


@pytest.fixture
def data() -> Bucket:
    """Return a bucket whose ledger has a part of $0.50 and a reservation of $2."""
    data = bucket()
    part = LedgerPart(
        step="LabelImages", model="amazon.nova-pro-v1:0", calls=1, reused=0, input_tokens=1, output_tokens=1, usd=0.5
    )
    ledger.write_part("holiday-1", part, "a", data)
    ledger.reserve("holiday-1", "LabelImages", "b", 2, data)
    return data


@pytest.mark.parametrize("name", [".DS_Store", "Label.a.json", "Label.a.x.json", "a.b.1.txt", "a.b.c.1.json"])
def test_object_that_is_no_part_is_ignored(name: str, data: Bucket) -> None:
    data.write(f"{keys.ledger_prefix('holiday-1')}{name}", b"x")

    assert ledger.paid_and_reserved_usd("holiday-1", data) == (0.5, 2.0)
    assert ledger.summary("holiday-1", data).usd == 0.5


@pytest.mark.parametrize("damage", [b"", b"\xff", b"{}", b"null"])
def test_damaged_part_counts_with_the_cost_in_its_key(damage: bytes, data: Bucket) -> None:
    data.write(keys.ledger_part_key("holiday-1", "TrainModels", "c", 1_250_000), damage)

    summary = ledger.summary("holiday-1", data)

    assert ledger.paid_and_reserved_usd("holiday-1", data) == (1.75, 2.0)
    assert summary.usd == 1.75
    assert [(entry.step, entry.model, entry.usd, entry.confirmed) for entry in summary.entries if not entry.calls] == [
        ("TrainModels", "unknown", 1.25, False)
    ]
