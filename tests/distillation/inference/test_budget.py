from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import ledger
from distillation.errors import OverBudget, Throttled
from distillation.inference.budget import Reservation, maximum_usd
from distillation.inference.labelling import label_batch
from distillation.records import LedgerPart
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run
from tests.support.fakes import bucket

BATCHES = 16


def part(usd: float) -> LedgerPart:
    return LedgerPart(step="LabelImages", model="m", calls=1, reused=0, input_tokens=1, output_tokens=1, usd=usd)


def reservation(data: Bucket, usd: float = 1.0, max_usd: float = 5.0) -> Reservation:
    return Reservation(any_run(max_usd=max_usd), "LabelImages", usd, data)


def holds(one: Reservation) -> bool:
    try:
        one.reserve()
    except (OverBudget, Throttled):
        return False
    return True


@pytest.mark.parametrize("settled_at", [1.0, 0.4])
def test_batches_at_once_never_pass_the_budget_together(settled_at: float) -> None:
    data, together = bucket(), threading.Barrier(BATCHES)

    def batch(_: int) -> bool:
        mine = reservation(data)
        together.wait()
        held = holds(mine)
        together.wait()  # Nobody settles before all have asked: the worst case.
        mine.settle(part(settled_at if held else 0.0))
        return held

    with ThreadPoolExecutor(BATCHES) as pool:
        held = sum(pool.map(batch, range(BATCHES)))

    assert held <= 5
    assert ledger.committed_usd(data, "holiday-1") == (pytest.approx(held * settled_at), 0)


def test_what_is_held_by_others_is_waited_for_and_what_is_spent_is_the_end() -> None:
    data = bucket()
    first, second = reservation(data, usd=3.0), reservation(data, usd=3.0)
    first.reserve()
    with pytest.raises(Throttled, match="held by batches and jobs that have not settled"):
        second.reserve()
    second.settle(part(0.0))
    first.settle(part(2.5))

    with pytest.raises(OverBudget, match=r"\$2.5000 are spent .* max_usd \$5.00.*raise max_usd in distill.json"):
        reservation(data, usd=3.0).reserve()


def test_batch_that_died_goes_on_counting() -> None:
    data = bucket()
    reservation(data, usd=4.0).reserve()

    assert ledger.committed_usd(data, "holiday-1") == (0, 4)
    assert not holds(reservation(data, usd=2.0))
    assert ledger.summary(data, "holiday-1") == {"usd": 0, "entries": []}


def test_one_look_at_the_ledger_answers_all_calls_of_a_batch() -> None:
    data = bucket()
    mine = reservation(data, usd=6.0)

    assert not any(holds(mine) for _ in range(3))
    assert len(list(data.keys(""))) == 1


def labelled(max_usd: float, data: Bucket, images: list[str]) -> int:
    """Label images one batch each until the budget says no; return how many were asked."""
    client: Any = boto3.client("bedrock-runtime")
    run = any_run(max_usd=max_usd)
    with Stubber(client) as bedrock:
        for number, image in enumerate(images):
            bedrock.add_response(
                "converse",
                {
                    "output": {"message": {"role": "assistant", "content": [{"text": "cat, sofa, window"}]}},
                    "stopReason": "end_turn",
                    "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
                    "metrics": {"latencyMs": 1},
                },
            )
            try:
                label_batch(run, [image], data, client, any_limits())
            except OverBudget:
                return number
    return len(images)


def test_labelling_stops_before_the_ledger_passes_the_budget_and_keeps_what_is_paid_for() -> None:
    data, images = bucket(), [f"{number:064x}" for number in range(10)]
    once = (1000 * 0.8 + 100 * 3.2) / 1e6
    most = maximum_usd(any_run(), "amazon.nova-pro-v1:0", any_run().teacher, 1)
    asked = labelled(most + 3.5 * once, data, images)

    assert asked == 4
    assert ledger.total_usd(data, "holiday-1") == pytest.approx(asked * once)
    assert len(list(data.keys("labels/"))) == asked
    # Labels that are kept cost nothing: they are found even when nothing may be spent.
    assert labelled(0, data, images) == asked
