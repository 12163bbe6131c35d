from __future__ import annotations

from typing import Any

import pytest

from distillation.documents import Ledger, LedgerEntry, ServingCost
from distillation.evaluation.training_price import label_usd, training_usd
from distillation.models.hyperparameters import job_hyperparameters
from distillation.records import TrainedModel
from tests.support.builders import any_report, any_run


def entry(step: str, usd: float, calls: int = 0, model: str = "amazon.nova-pro-v1:0") -> LedgerEntry:
    fields: dict[str, Any] = {"tier": "flex", "throttled": 0, "reused": 0, "output_tokens": 0, "training_tokens": 0}
    return LedgerEntry(step=step, model=model, calls=calls, usd=usd, input_tokens=0, confirmed=True, **fields)


def ledger(*entries: LedgerEntry) -> Ledger:
    return Ledger(usd=sum(line.usd for line in entries), entries=list(entries))


def epochs(size: int) -> int:
    return int(job_hyperparameters(any_run(), size)["epochCount"])


def test_label_costs_what_the_calls_of_the_teacher_cost_once_per_sample() -> None:
    paid = ledger(entry("LabelImages", 0.6, 600), entry("LabelImages", 0.4, 400), entry("PredictTestImages", 9, 1))

    assert label_usd(any_run(), paid) == pytest.approx(0.001)
    assert label_usd(any_run(samples_per_image=3), paid) == pytest.approx(0.003)


def test_label_of_an_audit_does_not_cost_what_the_tuned_model_costs() -> None:
    student = entry("PredictImages", 9.0, 1, model=any_run().student)

    assert label_usd(any_run(), ledger(student, entry("PredictImages", 0.02, 20)), None, "PredictImages") == 0.001


@pytest.mark.parametrize(("usd_per_1000", "expected"), [(0.65, 0.00065), (None, None)])
def test_label_of_a_run_that_reused_all_costs_what_the_teacher_answers_cost(
    usd_per_1000: float | None, expected: float | None
) -> None:
    figures = any_report().evaluation
    assert figures is not None
    teacher = ServingCost(latency_ms=None, input_tokens=1, output_tokens=1, usd_per_1000=usd_per_1000)
    priced = figures.model_copy(update={"serving": {"teacher": teacher}})

    assert label_usd(any_run(), ledger(), priced) == expected
    assert label_usd(any_run(), ledger(), figures) is None


def test_training_costs_per_record_what_the_jobs_cost_that_the_run_paid_for() -> None:
    models = [
        TrainedModel(size=100, status="Active"),
        TrainedModel(size=200, status="Active"),
        TrainedModel(size=300, status="Active", trained_by="earlier"),
        TrainedModel(size=400, status="Failed"),
    ]

    assert training_usd(any_run(), 600, models, ledger(entry("TrainModels", 3.0))) == pytest.approx(6.0)


def test_model_that_was_not_deployed_was_paid_for() -> None:
    models = [
        TrainedModel(size=100, status="Active", model_arn="arn:100"),
        TrainedModel(size=300, status="Failed", model_arn="arn:300", reason="no deployment"),
    ]

    assert training_usd(any_run(), 300, models, ledger(entry("TrainModels", 4.0))) == pytest.approx(3.0)


def test_training_counts_epochs_and_repeats_of_each_size() -> None:
    models, paid = [TrainedModel(size=500, status="Active")], ledger(entry("TrainModels", 5.0))

    # 1,000 images are not repeated, so that they cost no more than 500 that are written twice.
    repeated = any_run(duplicate_records=2, hyperparameters={"epochCount": 3})
    assert training_usd(repeated, 1000, models, paid) == pytest.approx(5.0)
    assert training_usd(any_run(), 10_000, models, paid) == pytest.approx(5.0 * 20 * epochs(10_000) / epochs(500))


def test_training_of_a_run_that_paid_for_no_job_has_no_price() -> None:
    reused = [TrainedModel(size=300, status="Active", trained_by="earlier")]

    assert training_usd(any_run(), 300, reused, ledger(entry("LabelImages", 0.6, 600))) is None
    assert training_usd(any_run(), 300, reused, ledger(entry("TrainModels", 0.0, 1))) is None
