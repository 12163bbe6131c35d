from __future__ import annotations

import json
from typing import Any

import pytest

from distillation.answers.formats import parse_format
from local.models.answer_forms import Recognition, confidences_of, read_form
from tests.local.models.conftest import PairResults

DOG = Recognition(
    keywords=["dog", "animal", "outdoor", "brown", "green", "calm"],
    confidences=confidences_of([("dog", 0.9), ("animal", 0.95), ("outdoor", 0.7), ("calm", 0.5), ("vehicle", 0.02)]),
    subject="dog",
    counts={"person": 2, "people": 2, "dog": 1},
    threshold=0.25,
    sentence=("A dog", "outdoors", "under a clear sky", "in brown and green", "with a calm mood"),
    paragraph=("The photo shows a dog.", "It was taken outdoors.", "It suggests brown and green."),
)

CLASS = {
    "format": "class",
    "labels": ["people", "animals", "vehicles", "objects"],
    "descriptions": {"people": "portraits", "vehicles": "cars, and carts that a dog pulls"},
}
FIELDS = {
    "format": "fields",
    "fields": [
        {"name": "subject", "type": "string", "description": "the main thing; one word"},
        {"name": "place", "type": "one of", "options": ["indoors", "outdoors", "a; b", 'so-called "studio"']},
        {"name": "colours", "type": "list"},
        {"name": "mood", "type": "string"},
        {"name": "people", "type": "number"},
        {"name": "dogs", "type": "number"},
        {"name": "cars", "type": "number"},
        {"name": "is_animal", "type": "boolean"},
        {"name": "has_vehicle", "type": "boolean"},
    ],
}
CAPTION = {"format": "caption", "words_min": 4, "words_max": 9}
PARAGRAPH = {"format": "caption", "length": "paragraph", "words_min": 8, "words_max": 12}


def answer(settings: dict[str, Any], recognition: Recognition = DOG) -> str:
    """Return the answer to a prompt with the instruction of a format, whose prose asks for something else."""
    instruction = parse_format(settings, "test").instruction()
    return read_form(f"Name the vehicles.\n\n{instruction}\n\nThink first.").answer(recognition)


def test_label_is_chosen_by_its_own_words_before_its_description() -> None:
    assert answer(CLASS) == "animals"


def test_label_without_evidence_is_the_last_one() -> None:
    assert answer(CLASS | {"labels": ["people", "vehicles", "objects"], "descriptions": {}}) == "objects"


def test_label_of_which_only_the_description_fits_is_chosen_by_it() -> None:
    assert answer(CLASS | {"labels": ["people", "vehicles", "objects"]}) == "vehicles"


def test_each_field_has_a_value_of_its_type() -> None:
    assert json.loads(answer(FIELDS)) == {
        "subject": "dog",
        "place": "outdoors",
        "colours": ["brown", "green"],
        "mood": "calm",
        "people": 2,
        "dogs": 1,
        "cars": 0,
        "is_animal": True,
        "has_vehicle": False,
    }


def test_option_with_a_semicolon_or_a_quotation_mark_is_read_as_written() -> None:
    options = ["a; b", 'so-called "outdoor"', "none"]
    fields = [{"name": "place", "type": "one of", "options": options, "description": 'see "places"; be exact'}]

    assert json.loads(answer({"format": "fields", "fields": fields})) == {"place": 'so-called "outdoor"'}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(CAPTION, "A dog outdoors under a clear sky."), (PARAGRAPH, "The photo shows a dog. It was taken outdoors.")],
    ids=["sentence", "paragraph"],
)
def test_caption_has_the_requested_number_of_words(settings: dict[str, Any], expected: str) -> None:
    assert answer(settings) == expected


def test_prompt_without_an_instruction_asks_for_keywords() -> None:
    assert read_form("Answer with one label.\n- dog\n- cat").answer(DOG) == "dog, animal, outdoor, brown, green, calm"


@pytest.mark.parametrize(
    "settings",
    [{"format": "keywords"}, CLASS, FIELDS, {"format": "caption"}, {"format": "caption", "length": "paragraph"}],
    ids=["keywords", "class", "fields", "caption", "paragraph"],
)
def test_answers_of_teacher_and_untrained_student_are_valid_labels(pair: PairResults, settings: dict[str, Any]) -> None:
    answer_format = parse_format(settings, "test")
    for by_teacher, features in zip(pair.recognitions[:4], pair.features, strict=False):
        recognitions = {"teacher": by_teacher, "base": pair.student.recognise(features)}
        values = {name: answer_format.parse(answer(settings, each)) for name, each in recognitions.items()}

        assert answer_format.label_problem(values["teacher"]) is None
        if settings["format"] == "fields":
            assert not any(value.problems for value in values.values())
