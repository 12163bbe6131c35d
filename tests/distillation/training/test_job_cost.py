from __future__ import annotations

from typing import Any

import pytest

from distillation import keys
from distillation.costs import calibration
from distillation.storage import Bucket
from distillation.training.job_cost import job_ledger_part, maximum_prediction_usd
from tests.support.builders import any_run, bucket_after_split
from tests.support.jobs import labelled_bucket

EPOCHS = 2
BILLED = {"input_tokens": 1000, "output_tokens": 50}


def bucket_with_labels(usage: dict[str, int] | None) -> Bucket:
    """Return a Data bucket with 12 training images of 900 x 600 pixels, whose labels were billed ``usage``."""
    data = bucket_after_split()
    label: dict[str, Any] = {"answerer": "teacher", "status": "ok", "text": "a, b, c", "usage": usage}
    labels = [label | {"image": f"{number:064x}"} for number in range(12)]
    data.write_lines(keys.part_key("holiday-1", "label", "1"), labels)
    return data


def tokens_by_rule() -> float:
    """Return the training tokens of 12 records by the rule of Nova Lite: 864 of an image, 120 of an answer."""
    return 12 * (calibration.text_tokens(any_run().prompt) + 864 + 120) * EPOCHS


def test_record_has_the_tokens_that_its_label_was_billed_for() -> None:
    cost = job_ledger_part(any_run(), 12, bucket_with_labels(BILLED))

    assert cost.training_tokens == 12 * 1050 * EPOCHS
    assert cost.usd == pytest.approx(12 * 1050 * EPOCHS * 2 / 1e6)


def test_smaller_size_has_the_tokens_of_fewer_records() -> None:
    assert job_ledger_part(any_run(), 6, bucket_with_labels(BILLED)).training_tokens == 6 * 1050 * EPOCHS


def test_record_whose_label_was_not_billed_is_counted_by_the_rule_of_the_student() -> None:
    cost = job_ledger_part(any_run(), 12, bucket_with_labels(None))

    assert cost.training_tokens == pytest.approx(tokens_by_rule(), rel=0.01)


def test_label_of_another_family_is_counted_by_the_rule_of_the_student() -> None:
    claude = any_run().teacher.model_copy(update={"model": "us.anthropic.claude-haiku-4-5-20251001-v1:0"})
    run = any_run().model_copy(update={"teacher": claude})

    assert job_ledger_part(run, 12, bucket_with_labels(BILLED)).training_tokens == pytest.approx(
        tokens_by_rule(), rel=0.01
    )


def test_job_that_did_not_train_costs_nothing() -> None:
    cost = job_ledger_part(any_run(), 12, bucket_with_labels(BILLED), trained=False)

    assert (cost.training_tokens, cost.usd) == (0, 0)


def test_each_training_size_adds_to_the_maximum_cost_of_predictions() -> None:
    data = labelled_bucket()
    two_sizes = maximum_prediction_usd(any_run(), data)
    data.write(keys.dataset_key("holiday-1", "train-8"), b"")

    assert maximum_prediction_usd(any_run(), data) > two_sizes > 0


def test_damaged_label_does_not_fail_a_size_whose_job_may_be_running() -> None:
    data = labelled_bucket()
    billed = job_ledger_part(any_run(), 12, data)
    data.write(keys.part_key("holiday-1", "label", "1"), b"\xff")

    assert job_ledger_part(any_run(), 12, data).usd == pytest.approx(billed.usd, rel=0.5)


def test_training_costs_the_same_if_a_part_of_the_labels_is_deleted_while_it_runs() -> None:
    data = labelled_bucket()
    data.client.objects.pop(keys.part_key("holiday-1", "label", "1"))  # type: ignore[attr-defined] - MemoryS3

    assert job_ledger_part(any_run(), 12, data) == job_ledger_part(any_run(), 12, labelled_bucket())
