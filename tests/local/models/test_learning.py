from __future__ import annotations

import json

import numpy as np
import pytest

from local.models.learning import (
    CaptionLayout,
    KeywordsLayout,
    LabelLayout,
    Layout,
    ObjectLayout,
    TunedStudent,
    layout_of,
    learn,
)
from local.models.network import CLASSES
from local.models.student import PIXELS
from tests.local.models.conftest import PairResults

KINDS = ("dog", "car", "tree")
TEXTS = {
    "keywords": "{0}, animal, outdoor",
    "class": "{0}s",
    "fields": '{{"subject": "{0}", "colours": ["{0} brown", "green"], "people": 0, "sharp": true}}',
    "caption": "A {0} stands on the green grass, next to a fence.",
}


def photos(count: int = 24) -> np.ndarray:
    """Return the features of photos of three kinds in turn."""
    features = np.random.default_rng(1).normal(0, 0.1, (count, CLASSES + 1456 + PIXELS)).astype(np.float32)
    for number in range(count):
        start = CLASSES + 50 * (number % len(KINDS))
        features[number, start : start + 50] += 3
    return features


def trained(text: str) -> TunedStudent:
    """Return a student that was trained on a text about each photo with its kind."""
    features = photos()
    return learn(features, [text.format(KINDS[number % len(KINDS)]) for number in range(len(features))], 2)


@pytest.mark.parametrize(
    ("format_name", "layout"),
    list(zip(TEXTS, (KeywordsLayout, LabelLayout, ObjectLayout, CaptionLayout), strict=True)),
    ids=list(TEXTS),
)
def test_format_is_learned_from_the_text_of_the_dataset_alone(format_name: str, layout: type[Layout]) -> None:
    assert type(layout_of([TEXTS[format_name].format(kind) for kind in KINDS])) is layout


@pytest.mark.parametrize("format_name", list(TEXTS))
def test_student_answers_in_the_format_of_the_dataset_about_what_it_sees(format_name: str) -> None:
    student, text = trained(TEXTS[format_name]), TEXTS[format_name]
    unseen = photos(48)[24:]

    for number, features in enumerate(unseen):
        expected = text.format(KINDS[number % len(KINDS)])
        answer = student.answer(features)
        if format_name == "keywords":
            assert set(answer.split(", ")) >= set(expected.split(", "))
        elif format_name == "fields":
            answered, right = json.loads(answer), json.loads(expected)
            assert sorted(answered.pop("colours")) == sorted(right.pop("colours"))
            assert answered == right
        else:
            assert answer == expected


@pytest.mark.parametrize("format_name", list(TEXTS))
def test_loss_on_right_answers_is_below_that_on_wrong_ones(format_name: str) -> None:
    student, features, text = trained(TEXTS[format_name]), photos(), TEXTS[format_name]
    right, wrong = ([text.format(KINDS[(number + shift) % 3]) for number in range(24)] for shift in (0, 1))

    assert student.loss(features, right) < student.loss(features, wrong) / 2


def test_caption_combines_words_of_several_captions() -> None:
    layout = CaptionLayout(
        [
            "A dog sits in bright red light.",
            "A dog sits in bright blue light.",
            "A car stands in bright red light.",
        ]
    )
    likely = dict.fromkeys(layout.items("A car stands in bright blue light."), 0.9)

    assert layout.write(likely) == "A car stands in bright blue light."


def test_list_that_is_often_empty_may_be_empty() -> None:
    texts = ['{"names": []}', '{"names": ["Ann", "Bob"]}']
    layout = ObjectLayout(texts)
    (nobody,), (ann, bob) = map(layout.items, texts)

    assert json.loads(layout.write({nobody: 0.9, ann: 0.5, bob: 0.4})) == {"names": []}
    assert json.loads(layout.write({nobody: 0.4, ann: 0.9, bob: 0.8})) == {"names": ["Ann", "Bob"]}


def test_dataset_whose_lists_are_all_empty_is_learned() -> None:
    assert learn(photos(3), ['{"names": []}'] * 3, 1).answer(photos(1)[0]) == '{"names": []}'


def test_order_of_the_records_does_not_change_an_answer(pair: PairResults) -> None:
    texts = [f"A photo of {label[0]} and {label[1]} in {label[-1]} light here." for label in pair.labels]
    forward, backward = learn(pair.features, texts, 1), learn(pair.features[::-1], texts[::-1], 1)

    assert forward.answer(pair.features[0]) == backward.answer(pair.features[0])
