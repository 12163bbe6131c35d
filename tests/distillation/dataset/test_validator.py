from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.dataset.validator import DatasetValidator, reject_invalid
from distillation.dataset.writer import training_record
from distillation.errors import DatasetRejected
from distillation.models import catalog
from distillation.models.model import Family
from tests.distillation.dataset.generated_records import NOVA_1, NOVA_2, NOVA_MICRO, datasets, errors, lines
from tests.support.builders import any_run


@pytest.mark.parametrize("family", [NOVA_1, NOVA_2, NOVA_MICRO], ids=lambda family: family.name)
@settings(max_examples=20)
@given(st.data())
def test_any_valid_dataset_passes(family: Family, data: st.DataObject) -> None:
    body = lines(data.draw(datasets(family)), data.draw(st.booleans()))

    assert errors(body, family, data.draw(st.sampled_from(["data", None]))) == []


def test_record_limits_include_the_validation_file() -> None:
    line = lines([training_record(any_run(), "data", "a" * 64, "cat, sofa, window")])

    def rules(records: int, family: Family, validation: list[bytes] | None = None) -> list[str]:
        problems = DatasetValidator(family, "data").problems(line * records, validation)
        return [problem.rule for problem in problems if problem.severity == "error"]

    assert rules(7, NOVA_1) == ["too_few_records"]
    assert rules(20_000, NOVA_1) == []
    assert rules(19_999, NOVA_1, line * 2) == ["too_many_records"]
    assert rules(199, NOVA_2) == ["too_few_records"]
    assert rules(200, NOVA_2, line) == ["validation_file"]


def test_rejection_shows_the_first_errors_and_counts_the_rest() -> None:
    with pytest.raises(DatasetRejected, match=r"k: line 1, line: not valid JSON.*And \d+ more\."):
        reject_invalid("k", DatasetValidator(NOVA_1, "data").problems([b"x\n"] * 9))


def test_every_student_has_dataset_rules() -> None:
    for model in catalog.models().values():
        if model.training_id:
            assert model.family.minimum_records > 0
