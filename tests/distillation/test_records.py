from __future__ import annotations

import pytest
from pydantic import BaseModel

from distillation import documents, events, records
from distillation.errors import InvalidRequest
from distillation.records import Quota, Request, TrainedModel, answerer_of, parse, size_of
from docs.generate import field_meanings

MODELS = [
    kind
    for module in (records, documents, events)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_has_a_docstring(model: type[BaseModel]) -> None:
    assert field_meanings(model).keys() >= model.model_fields.keys()


def test_error_names_each_wrong_field_and_the_known_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(Request, {"max_usd": -1, "colour": "red"}, "distill.json")

    message = str(caught.value)
    assert message.startswith("distill.json: ")
    assert "field 'max_usd': Input should be greater than or equal to 0 (got -1)" in message
    assert "unknown field 'colour' (known: accept_teacher_terms, apply, " in message


def test_quota_takes_the_fields_that_another_sets() -> None:
    quota = Quota(requests_per_minute=100, tokens_per_minute=1000)

    assert quota.merged(Quota(requests_per_minute=50)) == Quota(requests_per_minute=50, tokens_per_minute=1000)
    assert quota.merged(None) == quota


def test_name_of_a_tuned_model_has_its_training_size() -> None:
    assert TrainedModel(size=30, status="Failed").answerer == answerer_of(30) == "n30"
    assert [size_of(name) for name in ("n30", "base", "nova", "tuned")] == [30, None, None, None]


@pytest.mark.parametrize(
    "fields",
    [
        {"teachr": "x" * 300_000},
        {"x" * 300_000: 1},
        {"prompt": "x" * 300_000, "train_sizes": ["y" * 300_000]},
        {f"unknown{number}": "x" * 100 for number in range(10_000)},
        {"hyperparameters": {"x" * 300_000: "y" * 300_000}},
    ],
    ids=["value", "name", "several", "many", "nested"],
)
def test_message_about_a_large_request_is_short(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(Request, fields, "s" * 2_000)

    assert len(str(caught.value)) < 4_000
    assert "x" * 201 not in str(caught.value)
    assert "y" * 201 not in str(caught.value)


def test_deeply_nested_field_is_an_invalid_request() -> None:
    value: object = 1
    for _ in range(20_000):
        value = [value]
    with pytest.raises(InvalidRequest, match="deeply nested value"):
        parse(Request, {"max_usd": value}, "request")
