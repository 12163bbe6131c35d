"""Properties of every answer format. A new format needs an example in ``tests.support.formats`` and a row here."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.answers.formats import FORMATS, parse_format
from distillation.answers.formats.base import Compared, NotInFormat
from distillation.evaluation.scores import label_values
from distillation.records import AnswerLine
from tests.support.formats import EXAMPLES, LABELS

_WORDS = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzäßéøñжשя日本"), min_size=3, max_size=9).filter(
    lambda word: word not in ("and", "tag", "tags", "list", "label", "labels", "keyword", "keywords")
)
_PHRASES = st.lists(_WORDS, min_size=1, max_size=3).map(" ".join)
_KEYWORDS = st.lists(_PHRASES, min_size=1, max_size=12)
_FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "subject": _PHRASES,
    "place": st.sampled_from(["indoors", "Outdoors", "under water"]),
    "colours": st.lists(_PHRASES, max_size=6),
    "people": st.integers(-1000, 1000) | st.floats(-1000, 1000),
    "is_portrait": st.booleans(),
}
_CAPTIONS = st.lists(_WORDS | st.sampled_from(["a", "the", "in", "of", "snow-white", "dog's"]), min_size=1, max_size=30)

TEXTS: Mapping[str, st.SearchStrategy[str]] = {
    "keywords": _KEYWORDS.map(", ".join),
    "class": st.sampled_from(LABELS["class"]).flatmap(lambda label: st.sampled_from([label, label.upper()])),
    "fields": st.fixed_dictionaries({}, optional=dict(_FIELDS)).filter(bool).map(json.dumps),
    "caption": _CAPTIONS.map(lambda words: f"{' '.join(words).capitalize()}."),
}
"""Valid answers keyed by format."""


def _shuffled_fields(answer: dict[str, Any], order: random.Random) -> str:
    names = order.sample(list(answer), len(answer))
    colours = order.sample(answer["colours"], len(answer["colours"]))
    return json.dumps({name: answer[name] for name in names} | {"colours": colours})


class Unordered(NamedTuple):
    """A format in which the order of items has no meaning."""

    items: st.SearchStrategy[Any]
    write: Callable[[Any], str]
    write_shuffled: Callable[[Any, random.Random], str]


UNORDERED: Mapping[str, Unordered] = {
    "keywords": Unordered(_KEYWORDS, ", ".join, lambda items, order: ", ".join(order.sample(items, len(items)))),
    "fields": Unordered(st.fixed_dictionaries(dict(_FIELDS)), json.dumps, _shuffled_fields),
}

every_format = pytest.mark.parametrize("name", FORMATS)


def test_every_format_has_valid_answers_to_test_with() -> None:
    assert FORMATS.keys() == EXAMPLES.keys() == TEXTS.keys() == LABELS.keys()


@every_format
@given(data=st.data())
def test_similarity_is_symmetric_and_0_to_1(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    left, right = (example.parse(data.draw(TEXTS[name])) for _ in range(2))
    similarity = example.similarity(left, right)

    assert 0 <= similarity <= 1
    assert example.similarity(right, left) == similarity


@every_format
@given(data=st.data())
def test_equal_values_have_similarity_1_and_only_shared_parts(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    text = data.draw(TEXTS[name])
    left, right = example.parse(text), example.parse(text)

    assert left == right
    assert example.similarity(left, right) == 1
    assert {part.state for part in example.parts(left, right)} <= {"shared"}


@every_format
@given(data=st.data())
def test_similarity_does_not_depend_on_white_space(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    text = data.draw(TEXTS[name])
    spaces = data.draw(st.sampled_from(["  ", "   ", " \u00a0"]))
    spaced = f"\n  {text.replace(' ', spaces)}\t \n"

    assert example.similarity(example.parse(text), example.parse(spaced)) == 1


@pytest.mark.parametrize("name", UNORDERED)
@given(data=st.data())
def test_similarity_does_not_depend_on_the_order_of_items(name: str, data: st.DataObject) -> None:
    example, unordered = EXAMPLES[name], UNORDERED[name]
    items = data.draw(unordered.items)
    left = example.parse(unordered.write(items))
    right = example.parse(unordered.write_shuffled(items, random.Random(data.draw(st.integers(0, 99)))))

    assert example.similarity(left, right) == 1


@every_format
@given(data=st.data())
def test_written_value_is_read_as_the_same_value(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    text = data.draw(TEXTS[name])
    value = example.parse(text)

    assert example.parse(example.write(value)) == value
    assert example.parse(example.training_text(text)) == value
    assert example.write(example.parse(example.write(value))) == example.write(value)


@every_format
@given(data=st.data())
def test_values_that_all_agree_are_their_own_consensus_and_control(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    value = example.parse(data.draw(TEXTS[name]))
    consensus = example.consensus([value] * 3, 2)

    assert consensus is not None
    assert example.similarity(consensus, value) == 1
    assert example.similarity(example.control([value] * 3), value) == 1


@every_format
@given(text=st.text() | st.text(st.sampled_from('{}[]",:\n*-#`<>/ abc1.')))
def test_any_text_is_not_in_the_format_or_has_a_value_that_is_like_itself(name: str, text: str) -> None:
    example = EXAMPLES[name]
    with contextlib.suppress(NotInFormat):
        value = example.parse(text)
        assert example.similarity(value, value) == 1
        assert example.write(value).strip()


@every_format
@given(data=st.data())
def test_results_have_a_cell_for_each_column_and_a_json_value(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    value = example.parse(data.draw(TEXTS[name]))

    assert len(example.cells(value)) == len(example.columns())
    assert json.loads(json.dumps(example.json_value(value))) is not None


@every_format
@given(data=st.data())
def test_measures_of_an_answer_and_of_none_are_the_rows_of_the_report(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    answer, label = (example.parse(data.draw(TEXTS[name])) for _ in range(2))
    measures = example.measures(answer, label)

    assert measures.keys() == example.measures(None, label).keys()
    assert measures.keys() <= example.metrics.keys()


@every_format
def test_labels_of_the_example_are_labels_to_train_on_and_differ(name: str) -> None:
    example = EXAMPLES[name]
    lines = {text: AnswerLine(image=text, answerer="teacher", status="ok", text=text) for text in LABELS[name]}
    values = list(label_values(example, lines).values())

    assert len(values) == len(LABELS[name]) == 4
    assert [example.label_problem(value) for value in values] == [None] * 4
    assert max(example.similarity(a, b) for a in values for b in values if a is not b) < 0.8


@every_format
def test_tables_of_the_report_have_a_cell_for_each_column(name: str) -> None:
    example = EXAMPLES[name]
    labels = list(map(example.parse, LABELS[name]))
    answers = [{"base": None, "n8": labels[0], "ceiling": label, "control": labels[1]} for label in labels]
    images = [Compared(label, by_name) for label, by_name in zip(labels, answers, strict=True)]

    for table in example.tables(images, "n8"):
        assert {len(row) for row in table.rows} <= {len(table.columns)}


@every_format
def test_tokens_of_an_answer_are_low_expected_and_high(name: str) -> None:
    low, expected, high = EXAMPLES[name].answer_tokens()

    assert 0 < low <= expected <= high


@every_format
def test_settings_are_stored_as_json(name: str) -> None:
    example = EXAMPLES[name]

    assert parse_format(json.loads(json.dumps(example.model_dump(mode="json"))), "x") == example


@every_format
@given(data=st.data())
def test_contents_of_a_form_fit_its_inputs(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    inputs = {each.name: each for each in example.form_inputs()}
    contents = example.form_contents(example.parse(data.draw(TEXTS[name])))

    assert contents.keys() <= inputs.keys()
    for each, content in contents.items():
        kind, options = inputs[each].kind, inputs[each].options
        assert content
        assert len(content) == 1 or kind in ("items", "choices")
        assert all(isinstance(item, int | float) == (kind == "number") for item in content)
        assert not options or set(content) <= set(options)
