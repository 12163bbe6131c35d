from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.answers import keyword_reader
from distillation.answers.formats.keywords import KeywordList
from distillation.answers.keyword_reader import read_keywords, write_keywords
from distillation.answers.plurals import normalised_keyword

_WORDS = "cat sofa Red light 24 mm 3d 1960s 4k a x i café 窓 o'hara women's st New York close-up the objects tags"
WORDS = st.sampled_from(_WORDS.split())
KEYWORDS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
LISTS = st.lists(KEYWORDS, min_size=2, max_size=9, unique_by=normalised_keyword)
SEPARATORS = (", ", ",", "; ", "\n", "\r\n", "\n\n", " | ", "\t", "、", "，", "، ", " • ", "；")
MARKS = ("- ", "* ", "+ ", "• ", "– ", "✓ ", "- [ ] ", "{number}. ", "{number}) ", "({number}) ", "{letter}) ")
ITEMS = ("{}", '"{}"', "“{}”", "„{}“", "«{}»", "「{}」", "**{}**", "`{}`", "'{}'")
SCORES = ("", "", "", ": 0.93", " (0.9)", " - 0.85", ": 95%", " (70%)", " [0.5]")
BEFORE = ("", "", "Here are the keywords for this photo:\n\n", "**Keywords:**\n", "## Keywords\n", "Keywords: ")
AFTER = ("", "", ".", "\n\nThese keywords describe the image.", "\n\nLet me know if you need more!")


def normalise(text: str) -> list[str]:
    """Return the distinct normalised keywords of a text."""
    return list(KeywordList(tuple(read_keywords(text))).distinct)


def written(keywords: list[str], draw: st.DataObject) -> str:
    """Return the keywords in one of the forms of a list."""
    form, score = draw.draw(st.sampled_from(ITEMS)), draw.draw(st.sampled_from(SCORES))
    items = [form.format(keyword) + score for keyword in keywords]
    match draw.draw(st.sampled_from(["separated", "and", "marked", "one line", "JSON", "objects", "Python", "fence"])):
        case "separated":
            text = draw.draw(st.sampled_from(SEPARATORS)).join(items)
        case "and":
            text = f"{', '.join(items[:-1])}, and {items[-1]}"
        case "marked":
            mark = draw.draw(st.sampled_from(MARKS))
            text = "\n".join(_marked(mark, number, item) for number, item in enumerate(items))
            return f"{draw.draw(st.sampled_from(BEFORE)).replace(': ', ':')}\n{text}{draw.draw(st.sampled_from(AFTER))}"
        case "one line":
            text = " ".join(_marked("{number}. ", number, item) for number, item in enumerate(items))
        case "JSON":
            return json.dumps({"keywords": keywords} if draw.draw(st.booleans()) else keywords)
        case "objects":
            return json.dumps([{"keyword": keyword, "score": 0.5} for keyword in keywords])
        case "Python":
            return f"{draw.draw(st.sampled_from(('', 'keywords = ', 'Keywords: ')))}{keywords!r}"
        case _:
            return f"Here is the list:\n```text\n{', '.join(items)}\n```"
    return draw.draw(st.sampled_from(BEFORE)) + text + draw.draw(st.sampled_from(AFTER))


def _marked(mark: str, number: int, item: str) -> str:
    return mark.format(number=number + 1, letter=chr(ord("a") + number)) + item


@given(LISTS, st.data())
def test_every_form_of_a_list_gives_the_same_keywords(keywords: list[str], data: st.DataObject) -> None:
    text = written(keywords, data)

    assert normalise(text) == list(map(normalised_keyword, keywords)), text


@given(st.lists(st.from_regex(r"[A-Za-z][\w' -]{0,12}", fullmatch=True), min_size=2, max_size=5))
def test_ordinary_lists_are_read_as_lists_of_any_form(keywords: list[str]) -> None:
    text = ", ".join(keywords)
    ordinary = keyword_reader._ordinary_keywords(text)

    assert ordinary is None or ordinary == keyword_reader._keywords_of_any_form(text)


@given(st.text(st.sampled_from("ab1. ,;#-*[]{}()\"'\n:|%0é窓<>`・_&"), max_size=40))
def test_any_text_is_read_without_a_crash_and_gives_no_empty_keyword(text: str) -> None:
    assert all(normalised_keyword(keyword) for keyword in read_keywords(text))


@pytest.mark.parametrize("keywords", [["new york, ny", "sea"], ["a; b", "c"], ["cat"], []])
def test_keywords_with_separators_are_quoted(keywords: list[str]) -> None:
    assert read_keywords(write_keywords(keywords)) == keywords


HOSTILE = (
    *("[", '["a",', '["a",\n', '{"a":', "[\n", "(", "'", '"a, ', "“a, ", "(a, ", "<think>", "```a\n", "#a", "# a\n"),
    *("1. ", "1. a 2. b ", "a) ", "a: ", "A: b\n", "a b c d e.\n", "- a - ", "·", " / ", "0.9, ", "9,", "9,999,"),
    *(" ", "\n", "**", "__", "a.", "|---|\n", "here ", "keywords ", "\u200c", "①", "«", "[a]", "None", "'a':", '\\"'),
    *("&amp;", "\\_", "🐱", "🐱 ", "- a\nA\n", "| # |\n|-|\n| 1 | a |\n", '{"id": {', "「a」", "final<|message|>"),
)
"""Texts that would make a reader with backtracking or a nested search take quadratic time."""


@pytest.mark.parametrize("text", HOSTILE)
def test_long_answer_takes_linear_time(text: str) -> None:
    # In quadratic time such a text takes minutes. In linear time it takes less than a second.
    assert isinstance(normalise((text * 60_000)[:60_000]), list)


@pytest.mark.parametrize("depth", [100, 300, 600, 900, 1000, 5000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}"), ('[{"b":', "}]")])
def test_nested_json_of_any_depth_is_read_without_a_crash(start: str, end: str, depth: int) -> None:
    keywords = normalise(f'{start * depth}["cat", "sofa"]{end * depth}')

    assert depth > 100 or keywords == ["cat", "sofa"]
    assert len(keywords) == 2
