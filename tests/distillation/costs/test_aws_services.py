from __future__ import annotations

import pytest

from distillation.costs.aws_services import monthly_costs, service_costs
from distillation.costs.workload import predict_workload
from distillation.documents import Bounds
from tests.support.builders import any_run

PHOTOS = [(900, 600)] * 100


def test_transitions_grow_with_batches_and_with_jobs_that_are_polled() -> None:
    labels_only, whole = (
        {line.what: line.quantity for line in service_costs(any_run(), 100, answers, jobs)}
        for answers, jobs in (({"LabelImages": 100}, 0), ({"LabelImages": 100, "PredictTestImages": 75}, 1))
    )

    # 5 batches of 20 photos and one of 100 labels; the whole run adds one batch and two hours of polls.
    assert labels_only["transitions"] == Bounds(low=25 + 2 * 6, expected=30 + 2 * 6, high=60 + 4 * 6)
    assert whole["transitions"].expected == 30 + 2 * 7 + 2 * 12 * 3
    assert whole["writes"].expected == 100 + 2 * 175 + 5 * 7


def test_later_round_resizes_nothing() -> None:
    lines = {line.what: line.quantity.expected for line in service_costs(any_run(), 0, {"LabelImages": 100}, 0)}

    assert lines["writes"] == 2 * 100 + 5


@pytest.mark.parametrize(
    ("keep", "models"),
    [
        ("none", Bounds(low=0, expected=0, high=0)),
        ("best", Bounds(low=0, expected=1, high=1)),
        ("all", Bounds(low=2, expected=2, high=2)),
    ],
)
def test_storage_of_tuned_models_depends_on_keep(keep: str, models: Bounds) -> None:
    run = any_run(keep=keep, train_sizes=[20, 40])
    images, tuned = monthly_costs(run, predict_workload(run, PHOTOS, 0))

    assert (images.what, tuned.quantity) == ("images", models)


def test_photos_are_stored_too_if_their_size_is_known() -> None:
    run = any_run(until="LabelImages")
    work = predict_workload(run, PHOTOS, 2_000_000_000)
    (storage,) = monthly_costs(run, work)

    assert storage.what == "photos and images"
    assert storage.quantity.expected == pytest.approx(2 + len(work.stored_images) * 900 * 600 * 0.2 / 1e9)
