from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from distillation.answers.formats import format_of, parse_format
from distillation.answers.formats.base import Compared, NotInFormat
from distillation.answers.formats.keywords import FUZZY_CUTOFF, KeywordList, Keywords, jaccard, soft_jaccard
from distillation.answers.keyword_reader import read_keywords, write_keywords
from distillation.answers.rejection import text_rejection
from distillation.documents import Table
from distillation.errors import InvalidRequest
from tests.support.builders import any_run

FORMS: dict[str, list[str]] = {
    # Scores
    "cat: 0.98, sofa: 0.7": ["cat", "sofa"],
    "cat (0.98), sofa (70%)": ["cat", "sofa"],
    "cat - 0.9\nsofa - 95%": ["cat", "sofa"],
    "cat [0.9], sofa 0.7": ["cat", "sofa"],
    "cat (95% confidence), sofa (score: 0.9)": ["cat", "sofa"],
    "cat: 0,98; sofa: 0,7": ["cat", "sofa"],
    "Cat: 0.98\nSofa: 0.7.": ["cat", "sofa"],
    "[cat, 0.9], [sofa, 0.8]": ["cat", "sofa"],
    "10% discount, 100% cotton, 0.5 l bottle": ["10% discount", "100% cotton", "0.5 l bottle"],
    "cat → 0.9\nsofa → 0.8": ["cat", "sofa"],
    "keyword,score\ncat,0.9\nsofa,0.8": ["cat", "sofa"],
    # JSON, Python, fences
    '{"Labels": [{"Name": "Cat", "Confidence": 98.5}, {"Name": "Sofa", "Confidence": 70.1}]}': ["cat", "sofa"],
    '["cat", "sofa", "red lamp"]': ["cat", "sofa", "red lamp"],
    '```json\n["cat", "sofa"]\n```': ["cat", "sofa"],
    "Here is the list:\n```\ncat, sofa\n```\nEnjoy!": ["cat", "sofa"],
    '{"keywords": ["cat", "sofa"]}': ["cat", "sofa"],
    '{"keywords": "cat, sofa"}': ["cat", "sofa"],
    '{"objects": ["cat"], "mood": ["calm"]}': ["cat", "calm"],
    '{"cat": 0.9, "sofa": 0.8}': ["cat", "sofa"],
    '[{"keyword": "cat", "score": 0.9}, {"keyword": "sofa", "score": 0.7}]': ["cat", "sofa"],
    '{"keyword": "cat", "score": 0.9}\n{"keyword": "sofa", "score": 0.7}': ["cat", "sofa"],
    'Keywords: ["cat", "sofa"]': ["cat", "sofa"],
    '["cat", "sofa", "la': ["cat", "sofa", "la"],
    "['cat', \"o'hara\",]": ["cat", "o'hara"],
    "keywords = ['cat', 'sofa']": ["cat", "sofa"],
    "[('cat', 0.9), ('sofa', 0.8)]": ["cat", "sofa"],
    "[cat, sofa]": ["cat", "sofa"],
    '{"reasoning": "I see a cat on a sofa.", "keywords": ["cat", "sofa"]}': ["cat", "sofa"],
    '{"description": "a cat", "language": "en", "tags": ["cat", "sofa"]}': ["cat", "sofa"],
    '{"description": "cat, sofa", "tags": []}': ["cat", "sofa"],
    '{"cat": {"score": 0.9}, "sofa": {"score": 0.8}}': ["cat", "sofa"],
    '{"cat": "0.98", "sofa": "70%"}': ["cat", "sofa"],
    r'"[\"cat\", \"sofa\"]"': ["cat", "sofa"],
    r"{\"keywords\": [\"cat\", \"sofa\"]}": ["cat", "sofa"],
    "Cat: 98, Sofa: 70": ["cat: 98", "sofa: 70"],
    # Escaped characters
    "r&amp;b, rock &#39;n&#39; roll, caf&eacute;": ["r&b", "rock 'n' roll", "café"],
    "cat,&nbsp;sofa, salt & pepper; b&w": ["cat", "sofa", "salt & pepper", "b&w"],
    r"golden\_hour, c\+\+": ["golden hour", "c++"],
    r"\- cat\n\- sofa": ["cat", "sofa"],
    r"\"cat\", \"sofa\"": ["cat", "sofa"],
    r"\boxed{cat, sofa}": ["cat", "sofa"],
    # Emoji
    "🐱 cat\n🛋️ sofa": ["cat", "sofa"],
    "cat 🐱, sofa 🛋️": ["cat", "sofa"],
    '"🐱 cat", "sofa 🛋️"': ["cat", "sofa"],
    "i ❤️ ny, ❤️, 5★ hotel": ["i ❤️ ny", "❤️", "5★ hotel"],
    "✔️ cat\n✔️ sofa": ["cat", "sofa"],
    # Tables and titles
    "| # | Keyword |\n|---|---|\n| 1 | cat |\n| 2 | sofa |": ["cat", "sofa"],
    "| Category | Keywords |\n|---|---|\n| Objects | cat, sofa |\n| Mood | calm |": ["cat", "sofa", "calm"],
    "1\tcat\n2\tsofa": ["cat", "sofa"],
    "**Objects**\n- cat\n- sofa\n\n**Mood**\n- calm": ["cat", "sofa", "calm"],
    "- cat\nlamp\n- sofa": ["cat", "lamp", "sofa"],
    # Remarks below the list, and channels of reasoning
    "cat, sofa\n\nI hope this helps.": ["cat", "sofa"],
    "cat, sofa\n\nTotal: 2 keywords": ["cat", "sofa"],
    "cat, sofa\n\n(2 keywords)": ["cat", "sofa"],
    "hope, please, let me know": ["hope", "please", "let me know"],
    "◁think▷a cat, a dog◁/think▷cat, sofa": ["cat", "sofa"],
    "<|channel|>analysis<|message|>A cat.<|end|><|channel|>final<|message|>cat, sofa": ["cat", "sofa"],
    # "and"
    '"cat", or "sofa"': ["cat", "sofa"],
    "or, oregon": ["or", "oregon"],
    "cat, sofa, and window": ["cat", "sofa", "window"],
    "black and white, salt and pepper": ["black and white", "salt and pepper"],
    "cat, sofa and window.": ["cat", "sofa and window"],
    # Separators
    "قطة، أريكة، نافذة": ["قطة", "أريكة", "نافذة"],
    "cat | sofa | window": ["cat", "sofa", "window"],
    "cat\tsofa\twindow": ["cat", "sofa", "window"],
    "cat\r\nsofa\r\n": ["cat", "sofa"],
    "cat，sofa；window": ["cat", "sofa", "window"],
    "猫・窓・本": ["猫", "窓", "本"],
    "レオナルド・ディカプリオ": ["レオナルド・ディカプリオ"],
    "ジャン・クロード・ヴァン、猫": ["ジャン・クロード・ヴァン", "猫"],
    "cat / sofa / window": ["cat", "sofa", "window"],
    "cat & dog, AT&T": ["cat & dog", "at&t"],
    "1,000 islands, sea": ["1,000 islands", "sea"],
    "cat (animal, pet), sofa": ["cat (animal, pet)", "sofa"],
    '"new york, ny", "cat"': ["new york, ny", "cat"],
    '"cat, sofa, window"': ["cat", "sofa", "window"],
    "“cat” “sofa”": ["cat", "sofa"],
    "`cat` `sofa`": ["cat", "sofa"],
    "「窓」「猫」": ["窓", "猫"],
    "《书》、《猫》": ["书", "猫"],
    '24" 27" monitor, tv': ['24" 27" monitor', "tv"],
    "#golden_hour #2024": ["golden hour", "2024"],
    # Bullets, numbers, letters
    "▶ cat\n▶ sofa": ["cat", "sofa"],
    "❖ cat\n❖ sofa": ["cat", "sofa"],
    "※ 猫\n※ 窓": ["猫", "窓"],
    "• cat • sofa • window": ["cat", "sofa", "window"],
    "✓ cat\n✓ sofa": ["cat", "sofa"],
    "+ cat\n+ sofa": ["cat", "sofa"],
    "– cat\n– sofa": ["cat", "sofa"],
    "- [ ] cat\n- [x] sofa": ["cat", "sofa"],
    "* cat * sofa": ["cat", "sofa"],
    "1. cat 2. sofa 3. window": ["cat", "sofa", "window"],
    "1. cat, 2. sofa": ["cat", "sofa"],
    "(1) cat\n(2) sofa": ["cat", "sofa"],
    "1.cat\n2.sofa": ["cat", "sofa"],
    "① cat ② sofa": ["cat", "sofa"],
    "1️⃣ cat\n2️⃣ sofa": ["cat", "sofa"],
    "1) cat": ["cat"],
    "1.Cat 2.Sofa": ["cat", "sofa"],
    "・猫\n・犬": ["猫", "犬"],
    "1. 3d render\n2. 1960s car": ["3d render", "1960s car"],
    "2. bundesliga, stadium": ["2. bundesliga", "stadium"],
    "1. bundesliga, stadium": ["1. bundesliga", "stadium"],
    "a) cat\nb) sofa": ["cat", "sofa"],
    "Objects:\n1. cat\n2. sofa\nMood:\n1. calm": ["cat", "sofa", "calm"],
    # Hashtags
    "#cat #sofa #goldenHour": ["cat", "sofa", "goldenhour"],
    "#cat#sofa": ["cat", "sofa"],
    "#cat, #golden_hour": ["cat", "golden hour"],
    "Hashtags: #cat #sofa": ["cat", "sofa"],
    "#cat, sofa": ["#cat", "sofa"],
    # Headers, sentences, reasoning, tags
    "## Keywords\ncat, sofa": ["cat", "sofa"],
    "Keywords\ncat\nsofa": ["cat", "sofa"],
    "Sure, here are the keywords: cat, sofa": ["cat", "sofa"],
    "キーワード：猫、犬": ["猫", "犬"],
    "**Objects:** cat, sofa\n**Mood:** calm": ["cat", "sofa", "calm"],
    "objects: cat, sofa\nmood: calm": ["cat", "sofa", "calm"],
    "*Keywords:* cat, sofa": ["cat", "sofa"],
    "Keywords:cat, sofa": ["cat", "sofa"],
    "ok sign, iso 100: noise, night": ["ok sign", "iso 100: noise", "night"],
    "Reasoning: The photo shows a cat.\nKeywords: cat, sofa": ["cat", "sofa"],
    "[THINK]A cat, I see.[/THINK]cat, sofa": ["cat", "sofa"],
    "cat, sofa<|eot_id|>": ["cat", "sofa"],
    "Objects: cat, sofa; Mood: calm": ["cat", "sofa", "calm"],
    "cat, sofa\n\nThese keywords describe the image.": ["cat", "sofa"],
    "Here are the keywords for this photo:\n\ncat, sofa": ["cat", "sofa"],
    "1. cat\n2. sofa\n\nLet me know if you need more!": ["cat", "sofa"],
    "| Keyword | Score |\n|---|---|\n| cat | 0.9 |\n| sofa | 0.8 |": ["cat", "sofa"],
    "<thinking>The photo shows a cat.</thinking>cat, sofa": ["cat", "sofa"],
    "The photo, I see, shows a cat.</think>\n\ncat, sofa": ["cat", "sofa"],
    "<think>It may be a cat, a dog": [],
    "<keywords>cat, sofa</keywords>": ["cat", "sofa"],
    "<ul><li>cat</li><li>sofa</li></ul>": ["cat", "sofa"],
    # Spelling
    "golden_hour, night_sky": ["golden hour", "night sky"],
    "cat\u200b, close‑up, black–white": ["cat", "close up", "black white"],
    "women’s day, women's day": ["women's day"],
    "„Hund“, „Katze“": ["hund", "katze"],
    "「窓」、「猫」": ["窓", "猫"],
    "‹Hund›, ›Katze‹, »Maus«, ‚Kuh‘": ["hund", "katze", "maus", "kuh"],
    "'cat', 'rock 'n' roll'": ["cat", "rock 'n' roll"],
    "**cat**, *sofa*, `lamp`": ["cat", "sofa", "lamp"],
    "a.m., washington d.c., cat.": ["a.m.", "washington d.c.", "cat"],
    # These stay whole
    "1:1 ratio, 10:30, f/2.8, 24/7, b&w, r&b, c++, U.S. Capitol, n/a": [
        *("1:1 ratio", "10:30", "f/2.8", "24/7", "b&w", "r&b", "c++", "u.s. capitol", "n/a"),
    ],
    "cat (animal), mouse (computer)": ["cat (animal)", "mouse (computer)"],
    "#1 fan, .net, rock 'n' roll": ["#1 fan", ".net", "rock 'n' roll"],
    "iso 100: noise, night": ["iso 100: noise", "night"],
    "mission: impossible, poster": ["mission: impossible", "poster"],
    "50mm f/1.8, 24\" monitor, '90s car, no. 5": ["50mm f/1.8", '24" monitor', "'90s car", "no. 5"],
    "4k, 2nd floor, route 66, c#, asp.net": ["4k", "2nd floor", "route 66", "c#", "asp.net"],
}
"""Keywords by the text of an answer."""


def written_in(text: str) -> tuple[str, ...]:
    """Return the distinct keywords of a text as written."""
    return tuple(dict.fromkeys(read_keywords(text)))


@pytest.mark.parametrize("text", FORMS)
def test_keywords_of_each_form_of_a_list_are_read(text: str) -> None:
    assert list(KeywordList(written_in(text)).distinct) == FORMS[text]


@pytest.mark.parametrize("text", FORMS)
def test_list_written_from_an_answer_has_the_same_keywords(text: str) -> None:
    assert KeywordList(written_in(write_keywords(written_in(text)))).distinct == tuple(FORMS[text])


@pytest.mark.parametrize("text", ["", " ", "...", "---", "[]", "{}", '""', "```\n```", "Keywords:"])
def test_text_without_a_keyword_is_no_list(text: str) -> None:
    with pytest.raises(NotInFormat, match="is not a list of keywords"):
        Keywords().parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "The photo shows a cat that sleeps on a sofa.\nIt looks calm.\nThe light is warm.",
        "A cat sleeps on the sofa beside the window, and it looks calm.",
    ],
)
def test_prose_is_no_list(text: str) -> None:
    with pytest.raises(NotInFormat, match="is not a list of keywords"):
        Keywords().parse(text)


def test_value_has_the_distinct_keywords_as_written_and_the_compared_ones_with_one_form_of_plurals() -> None:
    keywords = Keywords().parse("Cats, sofa-bed, Cats, red car")

    assert keywords.written == ("Cats", "sofa-bed", "red car")
    assert keywords.distinct == ("cats", "sofa bed", "red car")
    assert keywords.keywords == {"cat", "sofa bed", "red car"}


def test_jaccard_is_shared_keywords_over_all_keywords() -> None:
    a, b = frozenset("abc"), frozenset("bcd")

    assert jaccard(a, a) == 1
    assert jaccard(a, b) == 0.5
    assert jaccard(a, frozenset("x")) == 0
    assert jaccard(frozenset(), frozenset()) == 0


def test_similar_spellings_count_by_their_similarity_and_only_once() -> None:
    assert soft_jaccard(frozenset({"grey sky"}), frozenset({"sky grey"})) == 1
    assert 0.8 < soft_jaccard(frozenset({"colour"}), frozenset({"color"})) < 1
    assert soft_jaccard(frozenset({"harbour", "harbor"}), frozenset({"harbours"})) < 0.5


def test_similar_spellings_are_matched_so_that_the_sum_of_similarities_is_largest() -> None:
    from rapidfuzz import fuzz, process
    from scipy import optimize

    words = ["colour", "colours", "color", "colored", "coloured", "harbour", "harbours", "harbor"]
    generator = np.random.default_rng(1)
    for _ in range(200):
        chosen = [str(word) for word in generator.permutation(words)]
        left, right = sorted(chosen[: generator.integers(1, 5)]), sorted(chosen[4 : generator.integers(5, 9)])
        weights = process.cdist(left, right, scorer=fuzz.token_sort_ratio, score_cutoff=FUZZY_CUTOFF) / 100
        shared = weights[optimize.linear_sum_assignment(weights, maximize=True)].sum()
        expected = shared / (len(left) + len(right) - shared)
        assert soft_jaccard(frozenset(left), frozenset(right)) == pytest.approx(expected)


def test_measures_compare_an_answer_with_a_label() -> None:
    measures = Keywords().measures(KeywordList(tuple("abcx")), KeywordList(tuple("abc")))

    assert measures["unnormalised"] == measures["soft_jaccard"] == measures["precision"] == 0.75
    assert measures["recall"] == measures["count_drift"] == 1
    assert measures["f1"] == pytest.approx(6 / 7)
    assert "within_limits" not in measures


def test_measures_of_a_missing_answer_are_zero() -> None:
    measures = Keywords(keywords_min=2).measures(None, KeywordList(tuple("abc")))

    assert measures.pop("count_drift") == -3
    assert set(measures.values()) == {0.0}


@pytest.mark.parametrize(("answer", "is_within"), [("a, b", True), ("a, b, c, d", False), ("a", False)])
def test_number_of_keywords_is_compared_with_the_requested_one(answer: str, is_within: bool) -> None:
    keywords = Keywords(keywords_min=2, keywords_max=3)

    assert keywords.measures(keywords.parse(answer), KeywordList(tuple("abc")))["within_limits"] == is_within


def test_spelling_is_compared_without_normalisation_too() -> None:
    measures = Keywords().measures(Keywords().parse("Red Cars"), Keywords().parse("red car"))

    assert measures["f1"] == 1
    assert measures["unnormalised"] == 0


def test_control_has_the_most_common_keywords_at_the_median_length() -> None:
    training = [KeywordList(tuple(text)) for text in ("ab", "ac", "abd")]

    assert Keywords().control(training) == KeywordList(("a", "b"))


def test_tables_count_the_images_of_keywords_learned_and_lost() -> None:
    def image(label: str, base: str, tuned: str) -> Compared:
        answers: Mapping[str, KeywordList] = {"base": KeywordList(tuple(base)), "n8": KeywordList(tuple(tuned))}
        return Compared(KeywordList(tuple(label)), answers)

    images = [image("abc", "cx", "abx"), image("abd", "d", "ad")]

    assert Keywords().tables(images, "n8") == [
        Table(title="Keywords learned", columns=["keyword", "images"], rows=[["a", 2], ["b", 1]]),
        Table(title="Keywords lost", columns=["keyword", "images"], rows=[["c", 1]]),
    ]


def test_without_an_answer_of_base_there_is_no_table_of_changes() -> None:
    label = KeywordList(("a",))

    assert Keywords().tables([Compared(label, {"n8": label})], "n8") == []


def test_parts_are_shared_missed_and_extra_in_the_spelling_of_the_label() -> None:
    label = Keywords().parse("cats, sofa, lamp")

    assert [part[:2] for part in Keywords().parts(Keywords().parse("cat, tree, lamps"), label)] == [
        ("cats", "shared"),
        ("lamp", "shared"),
        ("sofa", "missed"),
        ("tree", "extra"),
    ]
    assert {part.state for part in Keywords().parts(None, label)} == {"missed"}


TERMS = {"Cat": ["kitty"], "glass": [], "glasses": ["spectacles"]}
OPEN, CLOSED = Keywords(vocabulary=TERMS), Keywords(vocabulary=TERMS, closed_vocabulary=True)


@pytest.mark.parametrize(
    ("answer_format", "written"),
    [(OPEN, ("Cat", "glasses", "Sofas", "glass")), (CLOSED, ("Cat", "glasses", "glass"))],
    ids=["open", "closed"],
)
def test_vocabulary_replaces_synonyms_and_a_closed_one_leaves_out_other_keywords(
    answer_format: Keywords, written: tuple[str, ...]
) -> None:
    text = "kitties, CAT, spectacles, Sofas, glass"
    value = answer_format.parse(text)

    assert value == KeywordList(written)
    assert value.answered == ("kitties", "CAT", "spectacles", "Sofas", "glass")
    assert answer_format.training_text(text) == answer_format.write(value) == ", ".join(written)
    assert answer_format.parse(answer_format.write(value)) == value
    assert answer_format.cells(value) == [", ".join(written)]
    assert answer_format.json_value(value) == list(written)


def test_answer_without_a_term_of_a_closed_vocabulary_is_not_valid() -> None:
    assert OPEN.parse("sofa, lamp") == KeywordList(("sofa", "lamp"))
    with pytest.raises(NotInFormat, match="has no keyword of the vocabulary: 'sofa, lamp'"):
        CLOSED.parse("sofa, lamp")


def test_answer_in_preferred_terms_keeps_its_layout() -> None:
    assert OPEN.training_text("- Cat\n- glasses") == "- Cat\n- glasses"
    assert OPEN.training_text("- cat\n- glasses") == "Cat, glasses"


def test_number_of_keywords_is_that_of_the_answer_before_synonyms_are_replaced() -> None:
    limited = CLOSED.model_copy(update={"keywords_min": 3, "keywords_max": 3})

    assert limited.label_problem(limited.parse("cat, kitty, sofa")) is None
    assert limited.label_problem(limited.parse("cat, kitty")) == "has 2 distinct keywords, not 3 to 3"


def test_synonyms_are_the_same_keyword_in_scores_and_terms_that_differ_in_the_plural_are_not() -> None:
    assert OPEN.similarity(OPEN.parse("kitty, sofas"), OPEN.parse("cats, sofa")) == 1
    assert OPEN.similarity(OPEN.parse("glasses"), OPEN.parse("glass")) == 0
    assert OPEN.similarity(OPEN.parse("spectacles"), OPEN.parse("glasses")) == 1
    assert Keywords().similarity(Keywords().parse("glasses, cats"), Keywords().parse("glasses, cat")) == 1
    assert [part.state for part in OPEN.parts(OPEN.parse("glass"), OPEN.parse("glasses"))] == ["missed", "extra"]


def test_samples_with_synonyms_agree_on_the_preferred_term() -> None:
    samples = [CLOSED.parse(text) for text in ("kitty, sofa", "cats, sofa", "glass")]

    assert CLOSED.consensus(samples, 2) == KeywordList(("Cat",))
    assert CLOSED.control(samples) == KeywordList(("Cat",))


def test_own_label_with_a_keyword_that_a_closed_vocabulary_would_leave_out_is_refused() -> None:
    label = "kitty, sofa, lamp"

    assert (
        text_rejection(CLOSED, label, is_trained_on=False) == "has keywords outside the closed vocabulary: sofa, lamp"
    )
    assert text_rejection(OPEN, label, is_trained_on=False) is None
    assert text_rejection(CLOSED, label) is None


def test_instruction_names_the_preferred_terms_and_is_empty_without_a_vocabulary() -> None:
    assert Keywords().instruction() == ""
    assert OPEN.instruction() == "Where one of these keywords fits, use it, as written:\nCat, glass, glasses"
    assert CLOSED.instruction() == "Use only these keywords, as written:\nCat, glass, glasses"


def test_tables_of_a_vocabulary_count_the_keywords_that_were_replaced_and_those_outside_it() -> None:
    texts = {"teacher": ["kitty, sofa", "Kitty, cats, lamp", "sofa, sofa"], "n8": ["kitty, dog"]}
    replaced, outside = CLOSED.tables_of_texts(texts)

    assert replaced.columns == ["keyword", "preferred term", "teacher", "n8"]
    assert replaced.rows == [["kitty", "Cat", 2, 1], ["cats", "Cat", 1, 0]]
    assert outside.title == "Keywords outside the vocabulary (left out)"
    assert outside.rows == [["sofa", 2, 0], ["dog", 0, 1], ["lamp", 1, 0]]
    assert outside.note == "Number of answers that have the keyword. Answers: teacher 3, n8 1. Rows: 3 of 3."
    assert OPEN.tables_of_texts(texts)[1].title == "Keywords outside the vocabulary (unchanged)"
    assert Keywords().tables_of_texts(texts) == []


def test_tables_of_a_vocabulary_have_the_25_most_frequent_rows() -> None:
    (_, outside) = CLOSED.tables_of_texts({"teacher": [f"cat, thing {number}, sofa" for number in range(40)]})

    assert outside.rows[0] == ["sofa", 40]
    assert len(outside.rows) == 25
    assert (outside.note or "").endswith("Answers: teacher 40. Rows: 25 of 41.")


def test_keywords_outside_the_vocabulary_are_a_measure() -> None:
    label = OPEN.parse("cat")

    assert OPEN.measures(OPEN.parse("kitty, sofa, lamp"), label)["outside"] == 2
    assert OPEN.measures(None, label)["outside"] == 0
    assert "outside" not in Keywords().measures(label, label)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ({"cat": ["dog"], "dog": []}, "'dog' stands for 'dog' here and for 'cat' in term 'cat'"),
        ({"cat": "kitty"}, "Input should be a valid list"),
        ([], "Input should be a valid dictionary"),
    ],
    ids=["ambiguous", "no list", "no table"],
)
def test_wrong_vocabulary_of_a_prompt_is_refused(vocabulary: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_format({"format": "keywords", "vocabulary": vocabulary}, "prompt.answers")


def test_format_of_a_run_is_made_once() -> None:
    run = any_run().model_copy(update={"answers": {"format": "keywords", "vocabulary": TERMS}})

    assert format_of(run) is format_of(run.model_copy(update={"name": "other"}))
    assert format_of(run) == OPEN
    for number in range(40):
        other = any_run().model_copy(update={"answers": {"format": "keywords", "keywords_min": number + 1}})
        assert format_of(other) == Keywords(keywords_min=number + 1)


def test_keywords_are_the_subjects_of_a_photo_and_the_items_of_a_form() -> None:
    example = parse_format({"format": "keywords"}, "test")
    value = example.parse("brown dog, sea")

    assert example.subjects(value) == ["brown dog", "sea"]
    assert example.description(value) == ""
    assert example.form_inputs() == [("keywords", "items", ())]
    assert example.form_contents(value) == {"keywords": ["brown dog", "sea"]}


def test_terms_of_a_closed_vocabulary_are_the_choices_of_a_form() -> None:
    settings: dict[str, Any] = {"vocabulary": {"dog": ["hound"], "sea": []}, "closed_vocabulary": True}
    example = parse_format({"format": "keywords", **settings}, "test")

    assert example.form_inputs() == [("keywords", "choices", ["dog", "sea"])]
    assert example.form_contents(example.parse("hound, boat")) == {"keywords": ["dog"]}
