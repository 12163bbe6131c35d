from __future__ import annotations

from distillation.dataset.writer import training_record
from tests.distillation.dataset.generated_records import NOVA_1, errors, lines
from tests.support.builders import any_run


def test_written_records_are_valid() -> None:
    record = training_record(any_run(), "data", "a" * 64, "cat, sofa, window")

    assert errors(lines([record] * 8), NOVA_1, "data") == []
