from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from distillation.answers.formats import ClassLabel, format_of, parse_format
from distillation.answers.formats.base import Compared, NotInFormat, Part
from distillation.answers.formats.class_label import INSTRUCTION, cohens_kappa, macro_f1
from distillation.answers.rejection import text_rejection
from distillation.documents import Table
from distillation.errors import InvalidRequest
from distillation.runs.request import PROMPTS, shipped_prompt
from tests.support.builders import any_run

PHOTOS = ClassLabel(
    labels=["people", "animals", "food, drink", "C++", "-1", "1", "street-art"],
    descriptions={"animals": "pets, livestock and wildlife"},
)

FORMS = {
    # As written, and with other case, spaces, hyphens and number
    "people": "people",
    "  People\n": "people",
    "PEOPLE.": "people",
    "animal": "animals",
    "Street art": "street-art",
    "street_art": "street-art",
    "street‑art": "street-art",
    "ｐｅｏｐｌｅ": "people",
    "peo\u200bple": "people",
    "C++": "C++",
    "-1": "-1",
    "1": "1",
    "food, drink": "food, drink",
    # Markup
    "**people**": "people",
    "`people`": "people",
    "“People”": "people",
    "- people": "people",
    "1. people": "people",
    "\\boxed{people}": "people",
    "```\npeople\n```": "people",
    "Category: **Food, drink**": "food, drink",
    "label: people": "people",
    "- animals: pets, livestock and wildlife": "animals",
    "people (95%)": "people",
    "people: 0.95": "people",
    # JSON
    '"people"': "people",
    '["people"]': "people",
    '{"label": "food, drink"}': "food, drink",
    '```json\n{"category": "animals", "confidence": 0.9, "reason": "a dog"}\n```': "animals",
    # Sentences and reasoning
    "The answer is people.": "people",
    "The best label for this photo is **animals**.": "animals",
    "Animals. The photo shows a dog.": "animals",
    "animals\n\nThe photo shows a dog and people.": "animals",
    "The photo shows a dog in front of a house.\n\nAnswer: animals": "animals",
    "<thinking>people or animals</thinking>\n\nanimals": "animals",
}


@pytest.mark.parametrize(("text", "label"), FORMS.items(), ids=range(len(FORMS)))
def test_label_is_read_in_many_forms_and_spelled_as_in_the_prompt(text: str, label: str) -> None:
    assert PHOTOS.parse(text) == label


NOT_LABELS = {
    "people, animals": "names several labels (people, animals): 'people, animals'",
    "people\nanimals": "names several labels (people, animals): 'people\\nanimals'",
    '{"people": 0.6, "animals": 0.4}': "names several labels",
    "The label is people. The label is animals.": "names several labels",
    "buildings": "is none of the labels (people, animals, food, drink, C++, -1, 1, street-art): 'buildings'",
    "not people": "is none of the labels",
    "The label is not people.": "is none of the labels",
    "people or animals": "is none of the labels",
    "animals, dog": "is none of the labels",
    "There are no animals": "is none of the labels",
    "": "is none of the labels",
    " \n": "is none of the labels",
    "people and " * 10_000: "is none of the labels",
    "people.\n" * 3 + "animals.": "names several labels",
}


@pytest.mark.parametrize(("text", "reason"), NOT_LABELS.items(), ids=range(len(NOT_LABELS)))
def test_text_without_exactly_one_label_is_not_valid(text: str, reason: str) -> None:
    with pytest.raises(NotInFormat, match=f"^{re.escape(reason)}"):
        PHOTOS.parse(text)


def test_message_names_ten_of_many_labels() -> None:
    many = ClassLabel(labels=[f"class {number}" for number in range(100)])

    assert text_rejection(many, "cat") == (
        "is none of the labels (class 0, class 1, class 2, class 3, class 4, class 5, class 6, class 7, class 8, "
        "class 9 and 90 more): 'cat'"
    )


def test_singular_of_two_labels_means_neither() -> None:
    both = ClassLabel(labels=["glass", "glasses", "person", "persons"])

    assert [both.parse(text) for text in both.labels] == both.labels
    with pytest.raises(NotInFormat):
        ClassLabel(labels=["red car", "red cars"]).parse("a red car")


def test_instruction_lists_the_labels_with_their_descriptions() -> None:
    assert PHOTOS.instruction().splitlines() == [
        INSTRUCTION,
        "- people",
        "- animals: pets, livestock and wildlife",
        "- food, drink",
        "- C++",
        "- -1",
        "- 1",
        "- street-art",
    ]


WRONG_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({}, "field 'labels': Field required"),
    "one label": ({"labels": ["cat"]}, "field 'labels': List should have at least 2 items"),
    "101 labels": ({"labels": [f"c{n}" for n in range(101)]}, "field 'labels': List should have at most 100 items"),
    "a number": ({"labels": ["cat", 1]}, "field 'labels.1': Input should be a valid string"),
    "empty label": ({"labels": ["cat", ""]}, "field 'labels.1': String should have at least 1 character"),
    "long label": ({"labels": ["cat", "x" * 61]}, "field 'labels.1': String should have at most 60 characters"),
    "same label": ({"labels": ["Street art", "street-art"]}, "'Street art' and 'street-art' are the same label"),
    "only spaces": ({"labels": ["cat", "  "]}, "'  ' must be one line without a space at its ends"),
    "two lines": ({"labels": ["cat", "a\nb"]}, "'a\\nb' must be one line"),
    "invisible": ({"labels": ["cat", "do\u200bg"]}, "'do\\u200bg' must be one line"),
    "colon": ({"labels": ["cat", "dog: small"]}, "'dog: small' must be one line"),
    "colon at the end": ({"labels": ["cat", "dog:"]}, "'dog:' must be one line"),
    "refusal": ({"labels": ["cat", "unable to identify"]}, "'unable to identify' contains 'unable to identify'"),
    "description of no label": (
        {"labels": ["cat", "dog"], "descriptions": {"bird": "x"}},
        "field 'descriptions': 'bird' is not one of the labels",
    ),
    "description of two lines": (
        {"labels": ["cat", "dog"], "descriptions": {"cat": "x\n- bird"}},
        "field 'descriptions': that of 'cat' must be one line",
    ),
    "empty description": (
        {"labels": ["cat", "dog"], "descriptions": {"cat": ""}},
        "field 'descriptions.cat': String should have at least 1 character",
    ),
    "unknown setting": ({"labels": ["cat", "dog"], "classes": 2}, "unknown field 'classes'"),
}


@pytest.mark.parametrize(("settings", "problem"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_wrong_settings_are_refused_with_their_reason(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(problem)):
        parse_format({"format": "class", **settings}, "prompt.answers")


def test_settings_survive_their_way_through_the_stored_run() -> None:
    run = any_run().model_copy(update={"answers": PHOTOS.model_dump(mode="json")})

    assert format_of(run) == PHOTOS


def test_consensus_is_the_most_frequent_label_if_half_of_the_answers_have_it_and_no_other_ties() -> None:
    assert PHOTOS.consensus(["people", "1", "people"], 2) == "people"
    assert PHOTOS.consensus(["people"], 1) == "people"
    assert PHOTOS.consensus(["people", "1", "-1"], 2) is None
    assert PHOTOS.consensus(["people", "1"], 1) is None
    assert PHOTOS.consensus(["people", "people", "1", "1"], 2) is None


def test_similarity_is_one_for_the_same_label_and_zero_for_others() -> None:
    assert PHOTOS.similarity("people", "people") == 1
    assert PHOTOS.similarity("people", "animals") == 0


def test_control_is_the_most_common_label_and_the_first_of_several() -> None:
    assert PHOTOS.control(["1", "animals", "animals"]) == "animals"
    assert PHOTOS.control(["1", "animals"]) == "animals"


def test_results_have_one_column_with_the_label() -> None:
    assert PHOTOS.columns() == ["class"]
    assert list(PHOTOS.cells("food, drink")) == ["food, drink"]
    assert PHOTOS.json_value("food, drink") == "food, drink"


def test_answer_has_few_tokens() -> None:
    low, expected, high = PHOTOS.answer_tokens()

    assert 1 <= low <= expected <= high < 10


def test_gallery_shows_one_shared_class_or_class_against_class() -> None:
    assert PHOTOS.parts("people", "people") == [Part("people", "shared")]
    assert PHOTOS.parts("animals", "people") == [Part("people", "missed"), Part("animals", "extra")]
    assert PHOTOS.parts(None, "people") == [Part("people", "missed")]


# By hand: cat has 2 true positives of 3 labels and 2 answers, dog 1 of 2 and 2, bird 0 of 1 and 1.
PAIRS = [("cat", "cat"), ("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("dog", "bird"), ("bird", None)]


def test_macro_f1_is_the_mean_f1_of_the_classes_of_the_labels() -> None:
    assert macro_f1(PAIRS) == pytest.approx((4 / 5 + 2 / 4 + 0) / 3)
    assert macro_f1([("cat", "cat"), ("cat", "dog")]) == pytest.approx(2 / 3)


def test_kappa_is_agreement_beyond_chance_with_an_invalid_answer_as_a_disagreement() -> None:
    by_chance = (3 * 2 + 2 * 2 + 1 * 1) / 36

    assert cohens_kappa(PAIRS) == pytest.approx((3 / 6 - by_chance) / (1 - by_chance))
    assert cohens_kappa([("cat", "cat"), ("dog", "dog")]) == 1
    assert cohens_kappa([("cat", "dog"), ("dog", "cat")]) == -1
    assert cohens_kappa([("cat", "cat"), ("dog", "cat")]) == 0
    assert cohens_kappa([("cat", "cat"), ("cat", "cat")]) is None


ANIMALS = ClassLabel(labels=["cat", "dog", "bird", "fish"])


def tables(answer_format: ClassLabel, answers: Mapping[str, Sequence[tuple[str, str | None]]]) -> list[Table]:
    """Return the tables about pairs of a label and an answer by answerer; ``n8`` is the best."""
    images = [
        Compared(pairs[0][0], {name: answer for name, (_, answer) in zip(answers, pairs, strict=True)})
        for pairs in zip(*answers.values(), strict=True)
    ]
    return answer_format.tables(images, "n8")


def test_report_has_the_agreement_of_every_answerer() -> None:
    control = [(label, "cat") for label, _ in PAIRS]
    table, *_ = tables(ANIMALS, {"base": [(label, None) for label, _ in PAIRS], "n8": PAIRS, "control": control})

    assert table.columns == ["answerer", "test images", "equal labels", "macro F1", "Cohen's kappa"]
    assert table.rows == [
        ["base", 6, 0, 0, 0],
        ["n8", 6, 0.5, 0.433, 0.28],
        ["control", 6, 0.5, 0.222, 0],
    ]


def test_answerer_that_was_asked_about_some_images_has_the_figures_of_those() -> None:
    images = [Compared("cat", {"n8": "cat", "ceiling": "cat"}), Compared("dog", {"n8": "cat"})]
    table, *_ = ANIMALS.tables(images, "n8")

    assert table.rows == [["n8", 2, 0.5, 0.333, 0], ["ceiling", 1, 1, 1, None]]


def test_report_has_the_counts_of_every_class_and_warns_of_those_with_few_test_images() -> None:
    _, table, _ = tables(ANIMALS, {"n8": [*PAIRS, *[("cat", "cat")] * 2]})

    assert table.columns == ["class", "test images", "answers", "correct", "recall", "precision", "F1"]
    assert table.rows == [
        ["cat", 5, 4, 4, 0.8, 1, 0.889],
        ["dog", 2, 2, 1, 0.5, 0.5, 0.5],
        ["bird", 1, 1, 0, 0, 0, 0],
        ["fish", 0, 0, 0, None, None, None],
    ]
    assert table.note == (
        "Fewer than 5 test images: dog (2), bird (1), fish (0). The figures of these classes are not reliable. Add "
        "photos of them."
    )


def test_classes_with_five_test_images_have_no_warning() -> None:
    _, table, _ = tables(ClassLabel(labels=["cat", "dog"]), {"n8": [("cat", "cat"), ("dog", "cat")] * 5})

    assert table.note is None


def test_confusion_matrix_has_labels_as_rows_and_answers_as_columns() -> None:
    *_, table = tables(ANIMALS, {"n8": PAIRS})

    assert table.columns == ["teacher's label", "cat", "dog", "bird", "no valid answer"]
    assert table.rows == [["cat", 2, 1, 0, 0], ["dog", 0, 1, 1, 0], ["bird", 0, 0, 0, 1]]


def test_most_frequent_confusions_are_listed_if_there_are_many_classes() -> None:
    many = ClassLabel(labels=[f"c{number:02}" for number in range(40)])
    pairs = [(label, label) for label in many.labels] + [("c01", "c02")] * 3 + [("c05", None)]
    *_, table = tables(many, {"n8": pairs})

    assert table.title == "Most frequent confusions of n8"
    assert table.columns == ["teacher's label", "answer", "test images"]
    assert table.rows == [["c01", "c02", 3], ["c05", "no valid answer", 1]]


def test_shipped_prompt_of_categories_has_eight_classes_with_descriptions() -> None:
    file = shipped_prompt("category", "prompt")
    answer_format = parse_format(file.answers, "category.toml")

    assert isinstance(answer_format, ClassLabel)
    assert len(answer_format.labels) == 8
    assert answer_format.descriptions.keys() == set(answer_format.labels)
    assert "{answer_format}" in file.user
    assert (PROMPTS / "category.toml").is_file()


def test_label_is_the_subject_of_a_photo_and_a_choice_of_a_form() -> None:
    example = parse_format({"format": "class", "labels": ["people", "animals"]}, "test")

    assert (example.subjects("animals"), example.description("animals")) == (["animals"], "")
    assert example.form_inputs() == [("class", "choice", ["people", "animals"])]
    assert example.form_contents("animals") == {"class": ["animals"]}
