from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from distillation.answers.formats import parse_format
from distillation.answers.formats.base import Compared, NotInFormat
from distillation.answers.formats.caption import MAXIMUM_WORDS, Caption, Text, rouge_l
from distillation.errors import InvalidRequest

CAPTION = Caption()
PROMPTS = Path(__file__).parents[4] / "samples/prompts"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("A dog runs  along\nthe beach.", "A dog runs along the beach."),
        ('"A dog runs."', "A dog runs."),
        ("“A dog runs.”", "A dog runs."),
        ("**A dog runs.**", "A dog runs."),
        ('**Alt text:** "A dog runs."', "A dog runs."),
        ("Image description: A dog runs.", "A dog runs."),
        ("Here is the caption:\n\nA dog runs.", "A dog runs."),
        ("```\nA dog runs.\n```", "A dog runs."),
        ("```text\nCaption: A dog runs.\n```", "A dog runs."),
        ('A sign says "Stop" and another "Go"', 'A sign says "Stop" and another "Go"'),
        ('"Stop" says a sign, and another "Go"', '"Stop" says a sign, and another "Go"'),
        ("A sign at noon: two dogs.", "A sign at noon: two dogs."),
        ("Caption:", "Caption:"),
    ],
)
def test_text_that_models_write_around_a_caption_is_removed(text: str, written: str) -> None:
    caption = CAPTION.parse(text)

    assert caption.written == written
    assert CAPTION.parse(CAPTION.write(caption)) == caption
    assert CAPTION.training_text(text) == written


@pytest.mark.parametrize("text", ["", " \n ", "...", '{"caption": "A dog runs."}', '["dog"]', "- a dog\n- a beach"])
def test_text_without_words_json_and_a_list_are_no_captions(text: str) -> None:
    with pytest.raises(NotInFormat, match="is not a sentence of running text"):
        CAPTION.parse(text)


def test_caption_has_at_most_300_words() -> None:
    assert len(CAPTION.parse("dog " * MAXIMUM_WORDS).tokens) == 300
    with pytest.raises(NotInFormat, match="has 301 words, more than 300: 'dog dog"):
        CAPTION.parse("dog " * (MAXIMUM_WORDS + 1))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A Dog's ball, on the well-lit BEACH!", ("a", "dogs", "ball", "on", "the", "well", "lit", "beach")),
        ("'It’s' 3 \uff24\uff2f\uff27S", ("its", "3", "dogs")),
        ("犬が走る。 dog", ("犬", "が", "走", "る", "dog")),
        ("हिन्दी में", ("हिन्दी", "में")),
        ("สุนัข", ("สุ", "นั", "ข")),
        ("Cafe\u0301 — \U0001f600", ("café",)),
    ],
)
def test_words_are_compared_without_case_punctuation_and_apostrophes(text: str, tokens: tuple[str, ...]) -> None:
    caption = CAPTION.parse(text)

    assert caption.tokens == tokens
    assert len(caption.pieces) == len(tokens)
    assert "".join(caption.pieces) == caption.written


def test_similarity_is_rouge_l_f1() -> None:
    left, right = CAPTION.parse("a brown dog runs along the beach"), CAPTION.parse("the brown dog on the beach runs")

    # "brown dog the beach" is the longest common subsequence of 7 and 7 words.
    assert CAPTION.similarity(left, right) == pytest.approx(8 / 14)
    assert CAPTION.similarity(left, left) == 1
    assert CAPTION.similarity(left, CAPTION.parse("cats sleep")) == 0
    assert rouge_l((), ()) == 0


def test_words_in_another_order_score_lower() -> None:
    label = CAPTION.parse("a dog chases a cat")
    assert CAPTION.similarity(label, CAPTION.parse("a cat chases a dog")) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({}, (8, 30)),
        ({"length": "paragraph"}, (40, 120)),
        ({"words_max": 5}, (5, 5)),
        ({"words_min": 50}, (50, 50)),
        ({"length": "paragraph", "words_min": 10}, (10, 120)),
    ],
)
def test_limits_follow_the_length_and_a_given_limit(settings: dict[str, object], limits: tuple[int, int]) -> None:
    caption = Caption.model_validate(settings)

    assert (caption.words_min, caption.words_max) == limits
    assert f"of {limits[0]} to {limits[1]} words and nothing else." in caption.instruction()


def test_instruction_names_the_length() -> None:
    assert CAPTION.instruction() == "Answer with one sentence of 8 to 30 words and nothing else."
    assert Caption(length="paragraph").instruction() == (
        "Answer with one paragraph of 40 to 120 words and nothing else."
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"words_min": 9, "words_max": 8}, "is less than words_min (9) (got 8)"),
        ({"length": "page"}, "field 'length': Input should be 'sentence' or 'paragraph' (got 'page')"),
        ({"words_max": 301}, "field 'words_max'"),
        ({"words_min": 0}, "field 'words_min'"),
        ({"words": 5}, "unknown field 'words'"),
    ],
)
def test_wrong_setting_is_named(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse_format({"format": "caption", **settings}, "alt.toml")  # type: ignore[dict-item]

    assert str(error.value).startswith("alt.toml: ")
    assert problem in str(error.value)


def test_label_has_the_requested_number_of_words_and_a_prediction_any() -> None:
    short, long = CAPTION.parse("A dog runs."), CAPTION.parse("dog " * 31)

    assert CAPTION.label_problem(short) == "has 3 words, not 8 to 30"
    assert CAPTION.label_problem(CAPTION.parse("dog " * 8)) is None
    assert CAPTION.label_remedy([short, long]) == (
        "set words_min to 3 and words_max to 31 under [answers] in the prompt file"
    )
    assert CAPTION.label_remedy([CAPTION.parse("dog " * 8)]) == ""


def test_consensus_is_the_caption_that_is_closest_to_the_others() -> None:
    texts = [
        "a cat sleeps",
        "a brown dog runs along the beach",
        "a dog runs on the beach",
        "a dog runs along the beach",
    ]
    captions = [CAPTION.parse(text) for text in texts]

    assert CAPTION.consensus(captions, 2) == captions[3]
    assert CAPTION.consensus(captions[:1], 1) == captions[0]
    assert CAPTION.consensus([CAPTION.parse("a cat"), CAPTION.parse("two dogs"), CAPTION.parse("boats")], 2) is None


def test_control_is_the_training_caption_that_is_closest_to_all_others() -> None:
    captions = [CAPTION.parse(text) for text in ("a cat sleeps", "a dog runs", "a dog sleeps", "boats at sea")]
    assert CAPTION.control(captions) == captions[2]
    assert CAPTION.control(captions[:1]) == captions[0]


def test_control_of_many_captions_is_one_of_1000_drawn_at_random() -> None:
    captions = [Text(f"dog {number}") for number in range(1_001)]
    assert CAPTION.control(captions) == CAPTION.control(captions)
    assert CAPTION.control([*captions, *[Text("dog")] * 9_000]) == Text("dog")


def test_measures_have_precision_recall_length_and_limits() -> None:
    label = CAPTION.parse("A brown dog runs along the sandy beach.")
    answer = CAPTION.parse("a dog runs on the beach")

    assert CAPTION.measures(answer, label) == {
        "unnormalised": pytest.approx(2 * 3 / 14),
        "precision": pytest.approx(5 / 6),
        "recall": pytest.approx(5 / 8),
        "length_ratio": 6 / 8,
        "within_limits": 0,
    }
    assert CAPTION.measures(label, label) == dict.fromkeys(CAPTION.metrics, 1)
    assert CAPTION.measures(None, label) == dict.fromkeys(CAPTION.metrics, 0)


def test_table_shows_a_model_that_writes_the_same_caption_about_every_image() -> None:
    labels = [CAPTION.parse(f"a dog and {count} boats") for count in ("two", "three")]
    images = [Compared(label, {"base": CAPTION.parse("a photo"), "n8": label, "ceiling": None}) for label in labels]
    (table,) = CAPTION.tables(images, "n8")

    assert table.rows == [
        ["teacher", 2, 5.0, 2, 6],
        ["base", 2, 2.0, 1, 2],
        ["n8", 2, 5.0, 2, 6],
        ["ceiling", 0, None, 0, 0],
    ]


def test_gallery_has_the_words_in_order_with_those_of_the_label_before_those_of_the_answer() -> None:
    label, answer = (
        CAPTION.parse("A brown dog runs along the beach, at dusk."),
        CAPTION.parse("a black dog runs on a Beach"),
    )
    parts = [(part.text, part.state, part.label_text) for part in CAPTION.parts(answer, label)]

    assert parts == [
        ("a", "shared", "A"),
        ("brown", "missed", None),
        ("black", "extra", None),
        ("dog runs", "shared", None),
        ("along the", "missed", None),
        ("on a", "extra", None),
        ("Beach", "shared", "beach,"),
        ("at dusk.", "missed", None),
    ]
    assert [(part.text, part.state) for part in CAPTION.parts(None, label)] == [(label.written, "missed")]


def test_results_have_the_caption() -> None:
    caption = CAPTION.parse("A dog runs.")

    assert CAPTION.columns() == ["caption"]
    assert CAPTION.cells(caption) == ["A dog runs."]
    assert CAPTION.json_value(caption) == "A dog runs."


def test_tokens_of_an_answer_grow_with_the_limits() -> None:
    sentence, paragraph = CAPTION.answer_tokens(), Caption.model_validate({"length": "paragraph"}).answer_tokens()

    assert sentence == (12, 28, 50)
    assert list(sentence) == sorted(sentence)
    assert all(low < high for low, high in zip(sentence, paragraph, strict=True))


def test_sample_prompt_asks_for_one_sentence_of_alternative_text() -> None:
    prompt = tomllib.loads((PROMPTS / "alt_text.toml").read_text("utf-8"))

    assert parse_format(prompt["answers"], "alt_text.toml") == CAPTION
    assert "{answer_format}" in prompt["user"]


@pytest.mark.parametrize(
    "text",
    [
        "<thinking>The user wants one sentence.</thinking>\nA dog runs on the beach.",
        "\u202eA d\u200bog\x00 runs on the beach.\ufeff",
        "A dog runs\ud800 on the beach.",
    ],
)
def test_reasoning_and_invisible_characters_are_no_part_of_a_caption(text: str) -> None:
    caption = CAPTION.parse(text)

    assert CAPTION.write(caption) == "A dog runs on the beach."
    assert CAPTION.similarity(caption, CAPTION.parse("A dog runs on the beach.")) == 1


def test_caption_is_the_description_of_a_photo_and_a_text_of_a_form() -> None:
    example = parse_format({"format": "caption"}, "test")
    value = example.parse("A dog runs at the sea.")

    assert (example.subjects(value), example.description(value)) == ([], "A dog runs at the sea.")
    assert example.form_inputs() == [("caption", "text", ())]
    assert example.form_contents(value) == {"caption": ["A dog runs at the sea."]}
