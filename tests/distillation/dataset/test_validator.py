from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from distillation.dataset.examples import training_record
from distillation.dataset.validator import errors, problems, reject_invalid
from distillation.errors import DatasetRejected
from distillation.models import catalog
from distillation.models.catalog import NOVA_1, NOVA_2, Family
from tests.support.builders import any_run


def example() -> dict[str, Any]:
    return training_record(any_run(), "data", "a" * 64, "cat, sofa, window")


def lines(*records: Any) -> list[bytes]:
    return [json.dumps(one).encode() + b"\n" for one in records]


def found_after(change: Callable[[dict[str, Any]], None]) -> list[str]:
    changed = example()
    change(changed)
    return [str(p) for p in errors(lines(changed, *[example()] * 9), NOVA_1, "data")]


def user_image(one: dict[str, Any]) -> dict[str, Any]:
    return one["messages"][0]["content"][1]["image"]


def at(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(one: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        target: Any = one
        for part in parents:
            target = target[int(part) if part.isdigit() else part]
        target[int(last) if last.isdigit() else last] = value

    return change


def test_what_the_writer_writes_is_valid() -> None:
    assert list(errors(lines(*[example()] * 8), NOVA_1, "data")) == []


LOCATION = "messages.0.content.1.image.source.s3Location"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (at("schemaVersion", "v2"), "line 1, schemaVersion: must be 'bedrock-conversation-2024'"),
        (at("comment", "x"), "line 1, comment: unknown field"),
        (at("system", "text"), "line 1, system: must be a list"),
        (at("system.0.text", "System: do"), "system.0.text: contains System:"),
        (at("messages", []), "messages: must be a list of at least"),
        (at("messages.0.role", "User"), "messages.0.role: must be 'user'"),
        (at("messages.1.role", "user"), "messages.1.role: must be 'assistant'"),
        (lambda one: one["messages"].append(one["messages"][0]), "last message must be the assistant's"),
        (at("messages.1.content", []), "messages.1.content: must be a list of at least one"),
        (at("messages.1.content.0.text", ""), "messages.1.content: has no text"),
        (at("messages.1.content.0.text", "Operating System: x"), "contains System:"),
        (at("messages.1.content.0.text", "a [EOS]"), "contains [EOS]"),
        (at("messages.1.content.0.text", "Thought: a"), "contains Thought:"),
        (at("messages.1.content.0.text", 3), "must be text"),
        (at("messages.1.content.0", {"image": {}}), "an assistant message holds no image"),
        (at("messages.0.content.1", {"audio": {}}), "must hold exactly one of text, image"),
        (at("messages.0.content.1", {"video": {}}), "content.1.video: must be {format, source"),
        (
            lambda one: one["messages"][0]["content"].extend(one["messages"][0]["content"][1:] * 10),
            "11 images",
        ),
        (at("messages.0.content.1.image.format", "jpg"), "must be one of jpeg"),
        (at("messages.0.content.1.image.format", "png"), "says 'png' but the key ends in .jpg"),
        (at(f"{LOCATION}.uri", "https://x"), "must start with s3://"),
        (at(f"{LOCATION}.uri", "s3://other/a.jpg"), "must be in the dataset's bucket 'data'"),
        (at(f"{LOCATION}.uri", "s3://data/IMG (1).jpg"), "key may hold only"),
        (at(f"{LOCATION}.uri", "s3://data"), "must be a bucket and a key"),
        (at(f"{LOCATION}.bucketOwner", "me"), "account number of 12 digits"),
        (
            at("messages.0.content", [{"text": "no image"}]),
            "dataset, messages: kinds of content are mixed: image from line 2; text from line 1",
        ),
        (at("messages.1.content.0.text", "x" * 200_000), "more than 32,000 tokens"),
    ],
)
def test_broken_rule_is_named_with_line_and_field(change: Callable[[dict[str, Any]], None], problem: str) -> None:
    found = found_after(change)

    assert any(problem in one for one in found), found


@pytest.mark.parametrize("text", ["operating system: linux", "chatbot: a", "robot", "user"])
def test_reserved_words_are_looked_for_as_documented(text: str) -> None:
    assert found_after(at("messages.1.content.0.text", text)) == []


@pytest.mark.parametrize("line", [b"\n", b"not json\n", b"[]\n", b"\xff\xfe\n", b"[" * 100_000])
def test_line_that_is_no_record_is_a_problem_and_no_crash(line: bytes) -> None:
    assert next(problems([line, *lines(*[example()] * 9)], NOVA_1, "data")).line == 1


def test_limits_count_the_validation_file() -> None:
    one = lines(example())

    def rules(records: int, family: Family, validation: list[bytes] | None = None) -> list[str]:
        return [p.rule for p in errors(one * records, family, "data", validation)]

    assert rules(7, NOVA_1) == ["too_few_records"]
    assert rules(20_000, NOVA_1) == []
    assert rules(19_999, NOVA_1, one * 2) == ["too_many_records"]
    assert rules(199, NOVA_2) == ["too_few_records"]
    assert rules(200, NOVA_2, one) == ["validation_file"]


def test_rejection_shows_the_first_problems_and_counts_the_rest() -> None:
    with pytest.raises(DatasetRejected, match=r"k: line 1, line: not JSON.*\(and \d+ more\)"):
        reject_invalid("k", problems([b"x\n"] * 9, NOVA_1, "data"))


def test_every_student_of_the_table_has_rules_to_be_checked_by() -> None:
    for model in catalog.MODELS.values():
        if model.training_id:
            assert model.family.minimum_records > 0
