from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import ledger
from distillation.documents import Ledger
from distillation.errors import OverBudget, Throttled
from distillation.inference.labelling import label_batch
from distillation.inference.reservation import Reservation, maximum_usd
from distillation.records import LedgerPart
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run, converse_response, image_names
from tests.support.fakes import bucket

BATCHES = 16


def part(usd: float) -> LedgerPart:
    return LedgerPart(step="LabelImages", model="m", calls=1, reused=0, input_tokens=1, output_tokens=1, usd=usd)


def reservation_of(data: Bucket, usd: float = 1.0, max_usd: float = 5.0) -> Reservation:
    return Reservation(any_run(max_usd=max_usd), "LabelImages", usd, data)


def is_granted(reservation: Reservation) -> bool:
    try:
        reservation.reserve()
    except (OverBudget, Throttled):
        return False
    return True


@pytest.mark.parametrize("usd_per_batch", [1.0, 0.4])
def test_concurrent_batches_never_exceed_the_budget_together(usd_per_batch: float) -> None:
    data, barrier = bucket(), threading.Barrier(BATCHES)

    def batch(_: int) -> bool:
        reservation = reservation_of(data)
        barrier.wait()
        granted = is_granted(reservation)
        barrier.wait()  # The worst case: no batch settles before all batches have reserved.
        reservation.settle(part(usd_per_batch if granted else 0.0))
        return granted

    with ThreadPoolExecutor(BATCHES) as pool:
        granted_count = sum(pool.map(batch, range(BATCHES)))

    assert granted_count <= 5
    assert ledger.paid_and_reserved_usd("holiday-1", data) == (pytest.approx(granted_count * usd_per_batch), 0)


def test_reserved_budget_is_waited_for_but_spent_budget_is_not() -> None:
    data = bucket()
    first, second = reservation_of(data, usd=3.0), reservation_of(data, usd=3.0)
    first.reserve()
    with pytest.raises(Throttled, match="reserved by batches and jobs that have not settled"):
        second.reserve()
    second.settle(part(0.0))
    first.settle(part(2.5))

    with pytest.raises(OverBudget, match=r"\$2.5000 are spent .* max_usd \$5.00.*Raise max_usd in distill.json"):
        reservation_of(data, usd=3.0).reserve()


def test_reservation_of_a_crashed_batch_keeps_counting() -> None:
    data = bucket()
    reservation_of(data, usd=4.0).reserve()

    assert ledger.paid_and_reserved_usd("holiday-1", data) == (0, 4)
    assert not is_granted(reservation_of(data, usd=2.0))
    assert ledger.summary("holiday-1", data) == Ledger(usd=0, entries=[])


def test_ledger_is_checked_once_per_reservation() -> None:
    data = bucket()
    reservation = reservation_of(data, usd=6.0)

    assert not any(is_granted(reservation) for _ in range(3))
    assert len(list(data.keys(""))) == 1


def label_until_over_budget(max_usd: float, data: Bucket, images: list[str]) -> int:
    """Label images in batches of one until the budget is used up; return the number of labelled images."""
    client: Any = boto3.client("bedrock-runtime")
    run = any_run(max_usd=max_usd, service_tier="default")
    with Stubber(client) as bedrock:
        for number, image in enumerate(images):
            bedrock.add_response("converse", converse_response())
            try:
                label_batch(run, [image], data, client, any_limits())
            except OverBudget:
                return number
    return len(images)


def test_labelling_stops_before_the_budget_is_exceeded_and_stores_paid_labels() -> None:
    data, images = bucket(), image_names(10)
    usd_per_image = (1000 * 0.8 + 100 * 3.2) / 1e6
    maximum_usd_per_image = maximum_usd(any_run(), "amazon.nova-pro-v1:0", any_run().teacher, 1)
    labelled = label_until_over_budget(maximum_usd_per_image + 3.5 * usd_per_image, data, images)

    assert labelled == 4
    assert ledger.paid_and_reserved_usd("holiday-1", data)[0] == pytest.approx(labelled * usd_per_image)
    assert len(list(data.keys("labels/"))) == labelled
    # Stored labels are reused without cost, also with a budget of zero.
    assert label_until_over_budget(0, data, images) == labelled
