from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from cli.label_studio import labelling_config, labelling_task
from distillation.answers.formats import parse_format
from distillation.records import AnswerLine
from tests.support.formats import EXAMPLES, LABELS

VALUE_TYPES: dict[str, tuple[type, ...]] = {"choices": (list,), "textarea": (list,), "number": (int, float)}
"""Types of the value of a result, keyed by type of the result, as the pages of Label Studio's tags show it."""
VALUE_NAMES = {"choices": "choices", "textarea": "text", "number": "number"}


def label(text: str | None, **fields: Any) -> AnswerLine:
    status = "ok" if text else "refused"
    return AnswerLine.model_validate(
        {"image": "ab" * 32, "answerer": "teacher", "status": status, "text": text} | fields
    )


def results(task: dict[str, Any]) -> list[dict[str, Any]]:
    return task["predictions"][0]["result"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_predictions_of_every_format_are_of_tags_in_the_configuration(name: str) -> None:
    """The documented conditions: from_name and to_name are tags, type is the tag, ids are unique, options exist."""
    view = ElementTree.fromstring(labelling_config(EXAMPLES[name]))
    tags = {element.get("name"): element for element in view if element.get("name")}
    task = labelling_task(EXAMPLES[name], "ab" * 32, "s3://b/k.jpg", {}, label(LABELS[name][1]), "pro")

    assert [element.tag for element in view if element.get("value") == "$image"] == ["Image"]
    found = results(task)
    assert found
    assert len({result["id"] for result in found}) == len(found)
    for result in found:
        control = tags[result["from_name"]]
        assert result["to_name"] == control.get("toName") == "photo"
        assert tags["photo"].tag == "Image"
        assert result["type"] == control.tag.lower()
        value = result["value"][VALUE_NAMES[result["type"]]]
        assert isinstance(value, VALUE_TYPES[result["type"]])
        if result["type"] == "choices":
            assert set(value) <= {choice.get("value") for choice in control}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("keywords", {"keywords": {"text": ["brown dog", "beach", "sea", "summer"]}}),
        ("class", {"class": {"choices": ["animals"]}}),
        ("caption", {"caption": {"text": [LABELS["caption"][1]]}}),
        (
            "fields",
            {
                "subject": {"text": ["dog on a beach"]},
                "place": {"choices": ["outdoors"]},
                "colours": {"text": ["blue", "brown"]},
                "people": {"number": 0},
                "is_portrait": {"choices": ["false"]},
            },
        ),
    ],
    ids=["keywords", "class", "caption", "fields"],
)
def test_label_is_the_prediction(name: str, values: dict[str, Any]) -> None:
    task = labelling_task(EXAMPLES[name], "ab" * 32, "s3://b/k.jpg", {}, label(LABELS[name][1]), "pro")

    assert {result["from_name"]: result["value"] for result in results(task)} == values


def test_task_has_the_image_the_labeller_and_the_agreement_of_its_samples() -> None:
    facts = {"photo": "a.jpg", "set": "train"}
    task = labelling_task(EXAMPLES["caption"], "ab", "s3://b/k.jpg", facts, label("A dog.", disagreement=0.25), "pro")

    assert task["data"] == {"image": "s3://b/k.jpg", "photo": "a.jpg", "set": "train"}
    assert task["predictions"][0]["model_version"] == "pro"
    assert task["predictions"][0]["score"] == 0.75


@pytest.mark.parametrize("line", [None, label(None, reason="a refusal")], ids=["no label", "refused"])
def test_image_without_a_valid_label_is_a_task_without_a_prediction(line: AnswerLine | None) -> None:
    assert labelling_task(EXAMPLES["caption"], "ab", "s3://b/k.jpg", {}, line, "pro") == {
        "data": {"image": "s3://b/k.jpg"}
    }


def test_terms_of_a_closed_vocabulary_are_choices_and_many_are_a_menu() -> None:
    terms: dict[str, Any] = {f"term {number}": [] for number in range(30)}
    closed = parse_format({"format": "keywords", "vocabulary": terms, "closed_vocabulary": True}, "test")
    choices = ElementTree.fromstring(labelling_config(closed)).find("Choices")

    assert choices is not None
    assert (choices.get("choice"), choices.get("layout"), len(choices)) == ("multiple", "select", 30)


def test_names_and_options_are_escaped_in_the_configuration() -> None:
    fields: list[Any] = [{"name": "main subject", "type": "one of", "options": ['<b>"bold"</b>', "R&B"]}]
    view = ElementTree.fromstring(labelling_config(parse_format({"format": "fields", "fields": fields}, "test")))
    choices = view.find("Choices")

    assert choices is not None
    assert choices.get("name") == "main_subject"
    assert [choice.get("value") for choice in choices] == ['<b>"bold"</b>', "R&B"]
