from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.answers.formats import parse_format
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


def label_rules(answers: dict[str, Any], labels: list[str]) -> list[tuple[str, int]]:
    """Return the rules about labels that a dataset in a format breaks, with the lines."""
    instruction = parse_format(answers, "prompt.answers").instruction()
    run = any_run()
    run = run.model_copy(update={"student_prompt": run.student_prompt.model_copy(update={"user": instruction})})
    records = [training_record(run, "data", f"{number:064x}", label) for number, label in enumerate(labels)]
    problems = DatasetValidator(NOVA_1, "data").problems(lines(records))
    return [(problem.rule, problem.line) for problem in problems if problem.rule.endswith("_label")]


CLASSES: dict[str, Any] = {"format": "class", "labels": ["n/a", "none", "on", "off", "C++"]}
FIELDS: dict[str, Any] = {
    "format": "fields",
    "fields": [{"name": "text", "type": "string"}, {"name": "people", "type": "number"}],
}
CAPTION: dict[str, Any] = {"format": "caption"}
OBJECT = '{"text": "n/a", "people": 0}'
SENTENCES = [
    "A woman in a red coat, with a dog, walks along the coast in the evening.",
    "Two cats look out of a window that a child leans on.",
    "Null island, a buoy in the ocean, seen from a ship that sails by.",
]


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        (CLASSES, ["n/a", "none", "on", "off", "C++"] * 4),
        (FIELDS, [OBJECT, '{"text": "", "people": 1}', '{"text": "stop, wait, go", "people": 1.5}'] * 4),
        (CAPTION, SENTENCES * 4),
    ],
    ids=["class", "fields", "caption"],
)
def test_valid_labels_of_each_format_have_no_warning(answers: dict[str, Any], labels: list[str]) -> None:
    assert label_rules(answers, labels) == []


@pytest.mark.parametrize(
    ("answers", "labels", "rules"),
    [
        (CLASSES, ["none"] * 9 + ["todo"], [("blank_label", 10)]),
        (FIELDS, [OBJECT] * 8 + ["a dog", OBJECT[:-1]], [("cut_off_label", 10), ("object_label", 9)]),
        (FIELDS, [OBJECT] * 4 + ["a dog"] * 6, []),
        (CAPTION, [SENTENCES[0]] * 9 + ["A dog runs on the"], [("cut_off_label", 10)]),
        ({"format": "keywords"}, ["cat, sofa, lamp"] * 9 + [SENTENCES[1]], [("prose_label", 10)]),
    ],
    ids=["class", "fields", "mixed", "caption", "keywords"],
)
def test_label_unlike_the_others_has_a_warning(
    answers: dict[str, Any], labels: list[str], rules: list[tuple[str, int]]
) -> None:
    assert label_rules(answers, labels) == rules
