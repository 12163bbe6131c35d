"""The fast path must not change any result: it agrees with the full checks, or leaves the line to them."""

from __future__ import annotations

import copy
import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.dataset import validator
from distillation.dataset.fast_path import scan_ordinary_record
from distillation.dataset.record_reader import check_line
from distillation.dataset.rules import Problem
from distillation.dataset.validator import DatasetValidator
from distillation.dataset.writer import training_record
from distillation.models.model import Family
from tests.distillation.dataset.generated_records import (
    MUTATIONS,
    NOVA_1,
    NOVA_2,
    NOVA_MICRO,
    TOLERATED,
    Mutation,
    damage,
    image,
    lines,
    records,
    replace_any_value,
    text_of,
    texts,
)
from tests.support.builders import any_run

LINE = json.dumps(training_record(any_run(), "data", "a" * 64, "cat, sofa, window"))
families = st.sampled_from([NOVA_1, NOVA_2, NOVA_MICRO])


def assert_same_scan(line: bytes, family: Family) -> None:
    fast = scan_ordinary_record(line, family)
    assert fast is None or fast == check_line(line, family)


def problems_without_fast_path(body: list[bytes], family: Family) -> list[Problem]:
    with patch.object(validator, "scan_line", check_line):
        return list(DatasetValidator(family, "data").problems(body))


def kinds(family: Family) -> list[str]:
    return ["text", *(kind for kind, formats in family.formats.items() if formats)]


def is_ordinary(record: dict[str, Any]) -> bool:
    blocks = [block for message in record["messages"] for block in message["content"]]
    return all(block.keys() <= {"text", "image"} for block in blocks)


@given(st.data())
def test_valid_records_of_texts_and_images_take_the_fast_path(data: st.DataObject) -> None:
    family = data.draw(families)
    record = data.draw(records(data.draw(st.sampled_from(kinds(family))), family))
    (line,) = lines([record], data.draw(st.booleans()))

    assert (scan_ordinary_record(line, family) is not None) == is_ordinary(record)
    assert_same_scan(line, family)


@settings(max_examples=150)
@given(st.data())
def test_mutated_records_have_the_same_scan_and_problems_on_both_paths(data: st.DataObject) -> None:
    family = data.draw(families)
    kind = "image" if family.formats["image"] else "text"
    valid = data.draw(st.lists(records(kind, family), min_size=1, max_size=2))
    body = []
    for number in range(3):
        record = copy.deepcopy(valid[number % len(valid)])
        replace_any_value(record, data.draw)
        (line,) = lines([record], data.draw(st.booleans()))
        body.append(damage(line, data.draw) if data.draw(st.integers(0, 9)) == 0 else line)

    for line in body:
        assert_same_scan(line, family)
    assert list(DatasetValidator(family, "data").problems(body)) == problems_without_fast_path(body, family)


@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=[rule for rule, _ in MUTATIONS])
@settings(max_examples=4)
@given(st.data())
def test_broken_records_have_the_same_problems_on_both_paths(number: int, data: st.DataObject) -> None:
    valid = data.draw(records("image", NOVA_1))
    broken = copy.deepcopy(valid)
    MUTATIONS[number][1](broken, data.draw)
    body = lines([valid, broken, valid])

    for line in body:
        assert_same_scan(line, NOVA_1)
    assert list(DatasetValidator(NOVA_1, "data").problems(body)) == problems_without_fast_path(body, NOVA_1)


@pytest.mark.parametrize(
    "mutate", [m for _, _, m in TOLERATED], ids=[f"{rule} {field}" for rule, field, _ in TOLERATED]
)
@settings(max_examples=2)
@given(st.data())
def test_tolerated_forms_have_the_same_scan_on_both_paths(mutate: Mutation, data: st.DataObject) -> None:
    record = data.draw(records("image", NOVA_1))
    mutate(record, data.draw)

    assert_same_scan(lines([record])[0], NOVA_1)


@given(st.data())
def test_unusual_texts_and_uris_have_the_same_problems_on_both_paths(data: st.DataObject) -> None:
    written = [data.draw(records("image", NOVA_1))]
    for _ in range(4):
        other = copy.deepcopy(data.draw(st.sampled_from(written)))
        unusual = texts | st.sampled_from(["", " ", "[EOS]", "[eos]", "x", '"\\', '"}, {"'])
        other["messages"][-1]["content"][-1]["text"] = data.draw(unusual)
        if data.draw(st.booleans()):
            text_of(other)["text"] = data.draw(unusual)
        image(other)["source"]["s3Location"]["uri"] = data.draw(
            st.sampled_from(["s3://data/a.jpg", "s3://data/b.png", "s3://else/a.jpg", 's3://data/"', "x"])
        )
        written.append(other)
    body = lines(written, data.draw(st.booleans()))

    for line in body:
        assert_same_scan(line, NOVA_1)
    assert list(DatasetValidator(NOVA_1, "data").problems(body)) == problems_without_fast_path(body, NOVA_1)


@pytest.mark.parametrize(
    ("old", "new", "is_fast"),
    [
        ("", "", True),
        ("{", " \t\r\n{", True),
        ('"role"', '"r\\u006fle"', True),
        ("sofa", "\\u00e9\\ud83d\\ude00 \\/", True),
        ("sofa", "\x7f", True),
        ('"text": "cat, sofa, window"', '"text": "dog", "text": "cat"', True),
        ('"bucketOwner": "000000000000"', '"bucketOwner": null', False),
        ('"format": "jpeg"', '"format": "JPEG"', True),
        ("sofa", "\\ud83d", False),
        ("sofa", "\t", False),
        ("sofa", "\\x", False),
        ("cat, sofa, window", "", False),
        ("sofa", "Bot: sofa", False),
        ("{", "\ufeff{", False),
        ("{", "\x0b{", False),
        ("{", "{} {", False),
        ('"text": "cat, sofa, window"', '"text": 1, "text": "cat"', False),
        ('"text": "cat, sofa, window"', '"text": "cat", "image": null', False),
        ('"text": "cat, sofa, window"', '"text": null', False),
        ('"text": "cat, sofa, window"', '"text": "cat", "video": null', False),
        ('"format": "jpeg"', '"format": "png"', True),
        ('"schemaVersion": "bedrock-conversation-2024"', '"schemaVersion": null', False),
        ('"text": "cat, sofa, window"', '"text": "chatbot: a"', False),
        ('"format": "jpeg"', '"format": "jpeg", "size": 1', False),
        ('"schemaVersion"', '"toolConfig": null, "schemaVersion"', False),
        ('"schemaVersion"', '"comment": NaN, "schemaVersion"', False),
        ('"role": "user"', '"role": "User"', False),
        ("000000000000", "00000000000", False),
    ],
)
def test_json_variants_have_the_same_scan_on_both_paths(old: str, new: str, is_fast: bool) -> None:
    assert old in LINE
    line = LINE.replace(old, new, 1).encode()

    assert (scan_ordinary_record(line, NOVA_1) is not None) == is_fast
    assert_same_scan(line, NOVA_1)


@pytest.mark.parametrize("damaged", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80"])
def test_invalid_utf8_is_left_to_the_full_checks(damaged: bytes) -> None:
    assert scan_ordinary_record(LINE.encode().replace(b"sofa", damaged), NOVA_1) is None
