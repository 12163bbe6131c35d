from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from typing import Any

import pytest

from distillation.answers.formats import parse_format
from distillation.answers.formats.base import Compared, NotInFormat, Part
from distillation.answers.formats.fields import AnswerField, Fields, FieldValues
from distillation.answers.rejection import label_rejection, prediction_rejection
from distillation.errors import InvalidRequest
from distillation.records import Answer, Usage
from distillation.runs.request import PROMPTS
from tests.support.builders import any_run

SCHEMA: list[dict[str, Any]] = [
    {"name": "subject", "type": "string", "weight": 2, "description": "the main thing in the picture"},
    {"name": "place", "type": "one of", "options": ["indoors", "outdoors", "under water"]},
    {"name": "colours", "type": "list"},
    {"name": "people", "type": "number", "tolerance": 1},
    {"name": "is_portrait", "type": "boolean"},
]
ANSWER: dict[str, Any] = {
    "subject": "Dog on a beach",
    "place": "outdoors",
    "colours": ["blue", "dark green"],
    "people": 2,
    "is_portrait": False,
}


def as_answers(fields: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"format": "fields", "fields": list(fields)}


def schema(*fields: dict[str, Any]) -> Fields:
    answer_format = parse_format(as_answers(fields or SCHEMA), "prompt.answers")
    assert isinstance(answer_format, Fields)
    return answer_format


def value(**changes: Any) -> FieldValues:
    """Return the parsed answer with these changes; a field changed to None is left out."""
    return schema().parse(json.dumps({name: item for name, item in (ANSWER | changes).items() if item is not None}))


def test_instruction_has_a_line_for_each_field() -> None:
    assert schema().instruction() == (
        "Answer with one JSON object with these fields and nothing else:\n"
        '- "subject": a string; the main thing in the picture\n'
        '- "place": one of "indoors", "outdoors", "under water"\n'
        '- "colours": a list of strings\n'
        '- "people": a number\n'
        '- "is_portrait": true or false'
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "field 'fields': List should have at least 1 item"),
        ([{"name": f"f{number}", "type": "list"} for number in range(51)], "at most 50 items"),
        ([{"name": "a", "type": "text"}], "'fields.0.type': Input should be 'string', 'number'"),
        ([{"name": "a: b", "type": "string"}], "'fields.0.name': String should match"),
        ([{"name": "=a", "type": "string"}], "'fields.0.name': String should match"),
        ([{"name": "a b", "type": "string"}, {"name": "A_B", "type": "list"}], "prompt.answers: two fields are named"),
        ([{"name": "Photo", "type": "string"}], "'Photo' is a column of the tables"),
        ([{"name": "a", "type": "one of", "options": ["x"]}], "'options' must be 2-100 values"),
        ([{"name": "a", "type": "one of", "options": ["x-y", "X Y"]}], "'options' must be 2-100 values"),
        ([{"name": "a", "type": "one of", "options": ["x", "a\nb"]}], "an option must be one line"),
        ([{"name": "a", "type": "string", "options": ["x", "y"]}], "'options' belongs to the type 'one of'"),
        ([{"name": "a", "type": "string", "tolerance": 1}], "'tolerance' belongs to the type 'number'"),
        ([{"name": "a", "type": "number", "tolerance": -1}], "'fields.0.tolerance': Input should be greater"),
        ([{"name": "a", "type": "string", "weight": 0}], "all fields have weight 0"),
        ([{"name": "a", "type": "string", "description": "two\nlines"}], "'fields.0.description': String should"),
        ([{"name": "a", "type": "string", "optional": True}], "unknown field 'fields.0.optional'"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_schema_that_cannot_be_used_is_refused(fields: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse_format(as_answers(fields), "prompt.answers")

    assert message in str(error.value)
    assert "Value error" not in str(error.value)
    assert "(known" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ANSWER),
        json.dumps(ANSWER, indent=2),
        f"```json\n{json.dumps(ANSWER)}\n```",
        f"Here is the JSON object {{as asked}}:\n\n{json.dumps(ANSWER)}\n\nLet me know!",
        f'<thinking>{{"subject": "cat"}}</thinking>{json.dumps(ANSWER)}',
        str(ANSWER),
        json.dumps(ANSWER)[:-1] + ",}",
        json.dumps({"listing": ANSWER}),
        json.dumps([ANSWER]),
        json.dumps({"Subject": "dog on a BEACH.", **{name: ANSWER[name] for name in list(ANSWER)[1:]}}),
        json.dumps({**ANSWER, "place": "Outdoors", "people": "2", "is_portrait": "no", "colours": "blue, dark green"}),
        json.dumps({**ANSWER, "subject": "Dog on\u200b a\n beach"}, ensure_ascii=False),
        json.dumps(ANSWER).replace("Dog on", "Dog\non"),
        '{"note": 1} ' + json.dumps(ANSWER),
    ],
    ids=[
        *("line", "lines", "fence", "prose", "reasoning", "python", "comma", "wrapped", "list", "spelling"),
        *("strings", "spaces", "raw-line-break", "other-object"),
    ],
)
def test_answer_is_read_in_the_forms_that_models_write(text: str) -> None:
    read = schema().parse(text)

    assert schema().similarity(read, value()) == 1
    assert read.problems == {}
    assert schema().parse(schema().write(read)) == read
    assert schema().training_text(text) == schema().write(read)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A dog on a beach.", "is not a JSON object with the fields of the prompt: 'A dog on a beach.'"),
        ('{"subject": "dog', "is not a JSON object"),
        ('["dog", "beach"]', "is not a JSON object"),
        ('{"title": "dog"}', "is not a JSON object with the fields of the prompt"),
        ("{" * 100_000, "is not a JSON object"),
        ('{"a":' * 20_000, "is not a JSON object"),
        ('{"place": "abroad"}', "has no valid field: 'subject' is missing, 'place' is \"abroad\", not one of"),
    ],
    ids=["prose", "cut-off", "list", "other-fields", "braces", "deep", "no-valid-field"],
)
def test_text_without_a_field_of_the_schema_is_not_in_the_format(text: str, message: str) -> None:
    with pytest.raises(NotInFormat) as error:
        schema().parse(text)

    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"place": "abroad"}, "'place' is \"abroad\", not one of indoors, outdoors, under water"),
        ({"place": True}, "'place' is true, not one of"),
        ({"people": "several"}, "'people' is \"several\", not a number"),
        ({"people": True}, "'people' is true, not a number"),
        ({"people": float("nan")}, "'people' is NaN, not a number"),
        ({"people": 10**400}, "not a number"),
        ({"is_portrait": 1}, "'is_portrait' is 1, not true or false"),
        ({"colours": {"a": 1}}, "'colours' is {\"a\": 1}, not a list of strings"),
        ({"colours": ["blue", ["red"]]}, "'colours' is [\"red\"], not a string"),
        ({"subject": ["dog"]}, "'subject' is [\"dog\"], not a string"),
        ({"subject": None}, "'subject' is missing"),
    ],
    ids=lambda item: next(iter(item)) if isinstance(item, dict) else "",
)
def test_answer_with_an_invalid_field_is_a_prediction_and_no_label(change: dict[str, Any], problem: str) -> None:
    run = any_run().model_copy(update={"answers": {"format": "fields", "fields": SCHEMA}})
    usage = Usage(input_tokens=1, output_tokens=1)
    text = json.dumps({name: item for name, item in (ANSWER | change).items() if item is not None})
    answer = Answer(model="m", image="i", text=text, stop_reason="end_turn", usage=usage)

    assert prediction_rejection(run, answer) is None
    assert problem in (label_rejection(run, answer) or "")
    assert len(schema().parse(text).values) == 4


def test_fields_that_the_schema_does_not_have_are_left_out_of_the_label_and_counted() -> None:
    read = value(title="Beach", mood="calm")

    assert schema().label_problem(read) is None
    assert read.extra == ("title", "mood")
    assert json.loads(schema().write(read)) == ANSWER
    assert schema().measures(read, value()) == {"all_fields": 1.0, "json": 1.0, "missing": 0.0, "extra": 2.0}


def test_escapes_in_json_hide_no_characters() -> None:
    text = (
        r"""{"subject": "d\u200bog \udb40\udc41\ud83d", "colours": ["r\u0007ed"], "people": "\ud83d", "t\ud83d": 1}"""
    )
    read = schema().parse(text)

    assert read.values == {"subject": "dog", "colours": ("red",)}
    assert read.extra == ("t",)
    for shown in (schema().write(read), read.problems["people"]):
        assert shown.encode().isascii()


def test_value_that_is_nested_deeply_is_an_invalid_field() -> None:
    deep = "[" * 900 + "]" * 900
    read = schema().parse(f'{{"subject": "dog", "colours": [{deep}], "place": {deep}}}')

    assert read.values == {"subject": "dog"}
    assert "not a string" in read.problems["colours"]


@pytest.mark.parametrize(
    ("change", "similarity"),
    [
        ({}, 1),
        ({"subject": "a dog on a beach"}, 4 / 6),
        ({"subject": "dog ON a-beach."}, 1),
        ({"place": "indoors"}, 5 / 6),
        ({"people": 3}, 1),
        ({"people": 3.5}, 5 / 6),
        ({"colours": ["Dark-green", "blue"]}, 1),
        ({"colours": ["blue", "red"]}, (5 + 1 / 3) / 6),
        ({"colours": []}, 5 / 6),
        ({"is_portrait": None}, 5 / 6),
    ],
    ids=str,
)
def test_similarity_is_the_weighted_mean_of_the_fields(change: dict[str, Any], similarity: float) -> None:
    changed = value(**change)

    assert schema().similarity(changed, value()) == pytest.approx(similarity)
    assert schema().similarity(value(), changed) == pytest.approx(similarity)
    assert schema().similarity(changed, changed) == 1


def test_tolerance_is_exact_for_decimal_numbers() -> None:
    price = schema({"name": "price", "type": "number", "tolerance": 0.1})

    assert price.similarity(price.parse('{"price": 0.3}'), price.parse('{"price": 0.2}')) == 1
    assert price.similarity(price.parse('{"price": 0.3}'), price.parse('{"price": 0.19}')) == 0


def test_field_of_weight_0_is_answered_and_not_scored() -> None:
    reasons = schema({"name": "reason_text", "type": "string", "weight": 0}, {"name": "defect", "type": "boolean"})
    left, right = (reasons.parse(json.dumps({"reason_text": text, "defect": True})) for text in ("scratch", "dent"))

    assert reasons.similarity(left, right) == 1
    assert reasons.columns() == ["reason_text", "defect"]


def test_consensus_has_the_fields_that_the_votes_agree_on_and_the_rest_of_the_central_answer() -> None:
    answers = [
        value(subject="dog", colours=["blue", "red"], people=2),
        value(subject="puppy", colours=["Blue"], people=3, place="indoors"),
        value(subject="hound", colours=["blue", "white"], people=9),
    ]
    consensus = schema().consensus(answers, 2)

    assert consensus is not None
    assert consensus.values == {
        "subject": "dog",
        "place": "outdoors",
        "colours": ("blue",),
        "people": 2,
        "is_portrait": False,
    }


def test_answers_that_agree_on_no_field_have_no_consensus() -> None:
    subject = schema({"name": "subject", "type": "string"}, {"name": "colours", "type": "list"})
    answers = [
        subject.parse(json.dumps({"subject": name, "colours": [name]})) for name in ("red fox", "grey wolf", "dog")
    ]

    assert subject.consensus(answers, 2) is None


def test_control_has_the_most_common_value_of_each_field() -> None:
    training = [
        value(subject="Dog", colours=["blue", "red"], people=0),
        value(subject="cat", colours=["blue", "white"], people=4),
        value(subject="dog", colours=["green", "red"], people=5, place="indoors"),
        value(subject="fox", colours=["blue"], people=6, is_portrait=None),
    ]

    assert schema().control(training).values == {
        "subject": "Dog",
        "place": "outdoors",
        "colours": ("blue", "red"),
        "people": 5,
        "is_portrait": False,
    }


def test_measures_of_a_missing_answer_count_all_fields_as_missing() -> None:
    assert schema().measures(None, value()) == {"all_fields": 0.0, "json": 0.0, "missing": 5.0, "extra": 0.0}
    assert schema().measures(value(people="many", place="indoors"), value())["missing"] == 1
    assert schema().metrics.keys() == schema().measures(value(), value()).keys()


def test_table_by_field_has_each_answerer_and_the_faults_of_the_best_model() -> None:
    images = [
        Compared(value(), {"base": None, "tuned": value(place="indoors", title="x")}),
        Compared(value(), {"base": value(colours=["blue"]), "tuned": value(people="many")}),
        Compared(value(), {"base": value(), "tuned": None, "ceiling": value()}),
    ]
    (table,) = schema().tables(images, "tuned")

    assert table.columns == ["field", "type", "weight", "base", "tuned", "ceiling", "missing", "invalid"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["subject"] == ["string", 2, 0.667, 0.667, 1, 1, 0]
    assert rows["place"] == ["one of", 1, 0.667, 0.333, 1, 1, 0]
    assert rows["colours"] == ["list", 1, 0.5, 0.667, 1, 1, 0]
    assert rows["people"] == ["number", 1, 0.667, 0.333, 1, 1, 1]
    assert "title (1)" in (table.note or "")
    assert schema().tables(images, "absent") == []


def test_parts_show_each_field_with_the_items_of_lists() -> None:
    answer = value(subject="dog on a beach", place="indoors", colours=["Blue", "red"], people=None)

    assert schema().parts(answer, value()) == [
        Part("dog on a beach", "shared", "subject"),
        Part("outdoors", "missed", "place"),
        Part("indoors", "extra", "place"),
        Part("blue", "shared", "colours"),
        Part("dark green", "missed", "colours"),
        Part("red", "extra", "colours"),
        Part("2", "missed", "people"),
        Part("false", "shared", "is_portrait"),
    ]
    assert {part.state for part in schema().parts(None, value())} == {"missed"}


@pytest.mark.parametrize(
    ("change", "cells"),
    [
        ({}, ["Dog on a beach", "outdoors", "blue, dark green", 2, "false"]),
        ({"people": -1.5, "colours": []}, ["Dog on a beach", "outdoors", "", -1.5, "false"]),
        ({"colours": ["blue, pale", "red"]}, ["Dog on a beach", "outdoors", '["blue, pale", "red"]', 2, "false"]),
        ({"colours": ["[x]", "a; b"]}, ["Dog on a beach", "outdoors", '["[x]", "a; b"]', 2, "false"]),
        ({"people": None, "subject": ""}, ["", "outdoors", "blue, dark green", "", "false"]),
    ],
    ids=str,
)
def test_cells_of_a_table_give_the_same_answer_again(change: dict[str, Any], cells: list[str | float]) -> None:
    changed = value(**change)

    assert schema().columns() == list(ANSWER)
    assert schema().cells(changed) == cells
    assert schema().parse(schema().text_of_cells(list(map(str, cells)))) == changed


def test_numbers_are_read_with_thousands_and_a_decimal_comma() -> None:
    price = schema({"name": "price", "type": "number"})
    texts = ("1,200", "2,5", "12.50", " 3 ", "+4", "1200000")

    assert [price.parse(json.dumps({"price": text})).values["price"] for text in texts] == [
        *(1200, 2.5, 12.5, 3, 4, 1_200_000)
    ]


def test_expected_tokens_of_an_answer_grow_with_the_schema() -> None:
    low, expected, high = schema().answer_tokens()

    assert 0 < low < expected < high
    assert expected > schema(SCHEMA[0]).answer_tokens()[1]


def test_shipped_listing_is_a_schema_of_fields() -> None:
    file = tomllib.loads((PROMPTS / "listing.toml").read_text("utf-8"))
    listing = parse_format(file["answers"], "listing.toml")

    assert listing.columns() == ["subject", "place", "colours", "people", "mood"]
    assert file["user"].count("{answer_format}") == 1


@pytest.mark.parametrize("tolerance", [0.1, 1, 5])
def test_control_of_a_number_is_within_tolerance_of_most_labels(tolerance: float) -> None:
    numbers = Fields.model_validate({"fields": [{"name": "n", "type": "number", "tolerance": tolerance}]})
    labels = [FieldValues({"n": value * value % 97 / 10}) for value in range(200)]
    support = [sum(numbers.similarity(label, other) for other in labels) for label in labels]

    control = numbers.control(labels)

    assert sum(numbers.similarity(control, label) for label in labels) == max(support)


def test_control_of_many_distinct_numbers_compares_each_with_its_neighbours_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = Fields.model_validate({"fields": [{"name": "n", "type": "number", "tolerance": 1}]})
    labels = [FieldValues({"n": float(value)}) for value in range(2_000)]
    calls = 0
    compare = AnswerField.similarity

    def counted(each: AnswerField, left: Any, right: Any) -> float:
        nonlocal calls
        calls += 1
        return compare(each, left, right)

    monkeypatch.setattr(AnswerField, "similarity", counted)
    numbers.control(labels)

    assert calls < 10 * len(labels)


def test_lists_and_options_are_the_subjects_of_a_photo_and_all_fields_its_description() -> None:
    fields: list[Any] = [
        {"name": "place", "type": "one of", "options": ["sea", "city"]},
        {"name": "things", "type": "list"},
        {"name": "people", "type": "number"},
        {"name": "is_old", "type": "boolean"},
        {"name": "title", "type": "string"},
        {"name": "note", "type": "string"},
    ]
    example = parse_format({"format": "fields", "fields": fields}, "test")
    answer = {"place": "sea", "things": ["dog", "sea"], "people": 2, "is_old": False, "title": "A dog", "note": ""}
    value = example.parse(json.dumps(answer))

    assert example.subjects(value) == ["sea", "dog"]
    assert example.description(value) == "place: sea\nthings: dog, sea\npeople: 2\nis_old: false\ntitle: A dog"
    assert [each.kind for each in example.form_inputs()] == ["choice", "items", "number", "choice", "text", "text"]
    assert example.form_contents(value) == {
        "place": ["sea"],
        "things": ["dog", "sea"],
        "people": [2],
        "is_old": ["false"],
        "title": ["A dog"],
    }
