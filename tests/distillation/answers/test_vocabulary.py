from __future__ import annotations

import codecs
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.answers.keyword_reader import read_keywords
from distillation.answers.vocabulary import (
    MAXIMUM_BYTES,
    MAXIMUM_TERMS,
    VOCABULARY_FILE,
    check_terms,
    make_vocabulary,
    parse_vocabulary,
    read_vocabulary,
)
from distillation.errors import InvalidRequest
from distillation.plain_text import csv_table
from tests.support.fakes import bucket

TERMS = {"Cat": ["kitty", "house-cats"], "New York": ["NYC"], "glass": [], "glasses": ["spectacles"]}


@pytest.mark.parametrize(
    ("keyword", "preferred"),
    [
        ("cat", "Cat"),
        ("CATS", "Cat"),
        ("kitties", "Cat"),
        ("House Cat", "Cat"),
        ("new-york", "New York"),
        ("nyc", "New York"),
        ("Glass", "glass"),
        ("glasses", "glasses"),
        ("spectacles", "glasses"),
        ("catfish", None),
        ("york", None),
    ],
)
def test_keyword_is_found_without_case_hyphens_and_plural(keyword: str, preferred: str | None) -> None:
    assert make_vocabulary(TERMS).preferred(keyword) == preferred


def test_plural_that_several_preferred_terms_share_is_not_folded() -> None:
    vocabulary = make_vocabulary({"glasses": [], "pane": ["glass"], "dogs": [], "hounds": ["dog"], "lamps": []})

    assert (vocabulary.preferred("glasses"), vocabulary.preferred("glass")) == ("glasses", "pane")
    assert (vocabulary.preferred("dogs"), vocabulary.preferred("dog")) == ("dogs", "hounds")
    assert vocabulary.unfolded == {"glasses", "dogs"}


@pytest.mark.parametrize(
    "body",
    [
        "preferred,synonyms\nCat,kitty; tomcat\nsea,\n",
        'preferred,synonyms\nCat,"kitty, tomcat"\nsea\n',
        "preferred;synonyms\nCat;kitty|tomcat\nsea;\n",
        "preferred\tsynonyms\r\nCat\tkitty; tomcat\r\n\r\nsea\t\r\n",
        " Synonyms ,note,PREFERRED\nkitty,an animal,Cat\ntomcat,,Cat\n,,sea\n",
        "preferred,synonyms\nCat,kitty\nCat,tomcat\nsea,\n",
        "\ufeffpreferred,synonyms\nC\u200bat,kitty;\u202etomcat;;\nsea,\n",
        'preferred,synonyms\n"Cat",kitty;tomcat;kitty\nsea,\n',
    ],
    ids=["semicolons", "commas", "bars", "tabs", "any order of columns", "lines merged", "invisible", "repeated"],
)
def test_terms_are_read_from_the_csv_files_that_people_write(body: str) -> None:
    assert parse_vocabulary(body.encode()) == {"Cat": ["kitty", "tomcat"], "sea": []}


def test_terms_that_begin_as_a_formula_are_read_as_tables_of_results_have_them() -> None:
    assert parse_vocabulary(csv_table([["preferred", "synonyms"], ["@home", "-5 degrees"]])) == {
        "@home": ["-5 degrees"]
    }


def test_unicode_text_of_excel_is_read() -> None:
    body = codecs.BOM_UTF16_LE + "preferred\tsynonyms\nCafé\tcafeteria\n".encode("utf-16-le")

    assert parse_vocabulary(body) == {"Café": ["cafeteria"]}
    assert parse_vocabulary("preferred\nCafe\u0301\n".encode()) == {"Café": []}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "line 1 must name the columns preferred and synonyms"),
        ("term,synonyms\ncat,", r"line 1 must name .* \(got .*'term', 'synonyms'"),
        ("preferred,preferred\ncat,dog", "line 1 must name"),
        ("preferred,synonyms\n", "contains no term"),
        ("preferred,synonyms\ncat,kitty,tomcat", "line 2 has 3 fields, more than the 2 of line 1. Put all synonyms"),
        ("preferred,synonyms\n,kitty", "line 2: names synonyms without a preferred term"),
        ('preferred,synonyms\ncat,"kitty', r"line 2: unexpected end of data. Check its quotes"),
        (
            "preferred,synonyms\ncat,kitty\nsea,\ndog,Kitty",
            "line 4: 'Kitty' stands for 'dog' here and for 'cat' in line 2, if case and hyphens are ignored. Keep one",
        ),
        ("preferred,synonyms\ncat,dog\ndog,", "line 3: 'dog' stands for 'dog' here and for 'cat' in line 2"),
        (
            "preferred,synonyms\nnew york,\nNew-York,",
            "'New-York' stands for 'New-York' here and for 'new york'",
        ),
        ("preferred\n#cat", "line 2: '#cat' would be read in an answer as 'cat'"),
        ("preferred\ncat.", "line 2: 'cat.' would be read in an answer as 'cat'. Write it without marks"),
        ("preferred\n---", "line 2: '---' would be read in an answer as no keyword"),
        ("preferred\na cat on a sofa at home", "has more than 6 words. Shorten it"),
        ("preferred\nmy System: x", "line 2: 'my System: x' contains System:, which Bedrock reserves"),
    ],
)
def test_wrong_line_is_named_with_its_remedy(body: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"vocabulary\.csv:? .*{message}"):
        parse_vocabulary(body.encode())


def test_ten_problems_are_shown_and_the_others_counted() -> None:
    body = "preferred\n" + "".join(f"#cat{number}\n" for number in range(25))
    with pytest.raises(InvalidRequest, match="And 15 more") as error:
        parse_vocabulary(body.encode())
    assert len(re.findall("line ", str(error.value))) == 10


@pytest.mark.parametrize("body", [b"preferred\ncaf\xe9\n", codecs.BOM_UTF16_LE + b"\x00\xd8"])
def test_file_in_another_encoding_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv line \d is not UTF-.*Save the file as UTF-8"):
        parse_vocabulary(body)


def test_number_of_terms_and_bytes_are_limited() -> None:
    names = [f"{first}{second}{third}x" for first in "abcdefghij" for second in "klmnopqrst" for third in "abcdefghij"]
    rows = [f"{name},{name}v;{name}w;{name}y;{name}z" for name in names]
    assert len(parse_vocabulary("\n".join(["preferred,synonyms", *rows]).encode())) == MAXIMUM_TERMS / 5
    with pytest.raises(InvalidRequest, match="has 5,001 terms and synonyms, more than 5,000"):
        parse_vocabulary("\n".join(["preferred,synonyms", *rows, "one more"]).encode())
    with pytest.raises(InvalidRequest, match="bytes, more than 131,072"):
        parse_vocabulary(b"preferred\n" + b"x" * MAXIMUM_BYTES)


def test_vocabulary_of_a_collection_is_read_or_there_is_none() -> None:
    photos = bucket(**{f"holiday/{VOCABULARY_FILE}": b"preferred\ncat\n", "holiday/video.mp4": b""})

    assert read_vocabulary("holiday/", photos) == {"cat": []}
    assert read_vocabulary("other/", photos) is None


@pytest.mark.parametrize("names", [["Vocabulary.CSV"], ["vocabulary.csv", "VOCABULARY.csv"]])
def test_file_with_the_name_in_another_case_is_refused(names: list[str]) -> None:
    with pytest.raises(InvalidRequest, match=r"only vocabulary\.csv is read. Upload one file with that name"):
        read_vocabulary("holiday/", bucket(**{f"holiday/{name}": b"preferred\ncat\n" for name in names}))


def test_large_file_is_refused_before_it_is_read() -> None:
    photos = bucket(**{"holiday/vocabulary.csv": b"x" * 200_000})
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv has at least 200,000 bytes, more than 131,072"):
        read_vocabulary("holiday/", photos)


def test_terms_of_a_prompt_are_cleaned_and_checked() -> None:
    assert check_terms({"c\u200bat": [" kitty ", ""]}) == {"cat": ["kitty"]}
    assert check_terms({}) == {}
    with pytest.raises(ValueError, match="'kitty' stands for 'dog' here and for 'cat' in term 'cat'"):
        check_terms({"cat": ["kitty"], "dog": ["kitty"]})


@given(st.text(st.sampled_from("ab,;|\t\n\r\0\"'=@-#[]{}: ｃÉ\u0301\u200b\U0001f431"), max_size=40))
def test_any_text_is_read_or_refused_with_its_line_and_terms_that_are_read_are_terms_of_a_prompt(text: str) -> None:
    try:
        terms = parse_vocabulary(f"preferred,synonyms\n{text}".encode())
    except InvalidRequest:
        return
    assert check_terms(terms) == terms
    vocabulary = make_vocabulary(terms)
    for preferred, synonyms in terms.items():
        assert {vocabulary.preferred(term) for term in (preferred, *synonyms)} == {preferred}
        assert read_keywords(preferred) == [preferred]


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe\x00", b"\x00" * 9, b"preferred\n" + b"[" * 120_000, b'preferred\n"' * 9_000],
    ids=["half a character", "zero bytes", "brackets", "quotes"],
)
def test_hostile_file_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv"):
        parse_vocabulary(body)
