from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.dataset.validator import DatasetValidator
from distillation.dataset.writer import training_record
from distillation.models import catalog
from tests.distillation.dataset.generated_records import (
    MUTATIONS,
    NOVA_1,
    OTHER_IMAGE,
    USE,
    Mutation,
    datasets,
    errors,
    lines,
    records,
    replace_any_value,
)
from tests.support.builders import any_run


@pytest.mark.parametrize(("rule", "mutate"), MUTATIONS, ids=[rule for rule, _ in MUTATIONS])
@settings(max_examples=4)
@given(st.data())
def test_each_broken_rule_is_reported_at_its_line(rule: str, mutate: Mutation, data: st.DataObject) -> None:
    dataset = data.draw(datasets(NOVA_1, "image"))
    index = data.draw(st.integers(0, len(dataset) - 1)) if rule != "bucket" else len(dataset) - 1
    mutate(dataset[index], data.draw)
    broken_rule = [error for error in errors(lines(dataset), NOVA_1, "data") if error.rule == rule]

    assert {error.line for error in broken_rule} == {0 if rule == "modality" else index + 1}
    assert all(error.field and error.description and error.remedy for error in broken_rule)


def example() -> dict[str, Any]:
    return training_record(any_run(), "data", "a" * 64, "cat, sofa, window")


def errors_after(change: Callable[[dict[str, Any]], None]) -> list[str]:
    changed = example()
    change(changed)
    return [str(problem) for problem in errors(lines([changed, *[example()] * 9]), NOVA_1, "data")]


def put_at(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        target: Any = record
        for part in parents:
            target = target[int(part) if part.isdigit() else part]
        target[int(last) if last.isdigit() else last] = value

    return change


LOCATION = "messages.0.content.1.image.source.s3Location"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (put_at("schemaVersion", "v2"), "line 1, schemaVersion: must be 'bedrock-conversation-2024'"),
        (put_at("comment", "x"), "line 1, comment: unknown field"),
        (put_at("system", "text"), "line 1, system: must be a list"),
        (put_at("system.0.text", "System: do"), "system.0.text: contains System:"),
        (put_at("messages", []), "messages: must be a list of at least"),
        (put_at("messages.0.role", "User"), "messages.0.role: must be 'user'"),
        (put_at("messages.1.role", "user"), "messages.1.role: must be 'assistant'"),
        (lambda record: record["messages"].append(record["messages"][0]), "last message must be the assistant's"),
        (put_at("messages.1.content", []), "messages.1.content: must be a list of at least one"),
        (put_at("messages.1.content.0.text", ""), "messages.1.content: has no text"),
        (put_at("messages.1.content.0.text", "Operating System: x"), "contains System:"),
        (put_at("messages.1.content.0.text", "a [EOS]"), "contains [EOS]"),
        (put_at("messages.1.content.0.text", "Thought: a"), "contains Thought:"),
        (put_at("messages.1.content.0.text", 3), "must be text"),
        (put_at("messages.1.content.0", {"image": {}}), "image is not allowed in an assistant message"),
        (put_at("messages.0.content.1", {"audio": {}}), "must contain exactly one of text, image"),
        (put_at("messages.0.content.1", {"video": {}}), "content.1.video: must be {format, source"),
        (
            lambda record: record["messages"][0]["content"].extend(record["messages"][0]["content"][1:] * 10),
            "11 images",
        ),
        (put_at("messages.0.content.1.image.format", "jpg"), "must be one of jpeg"),
        (put_at("messages.0.content.1.image.format", "png"), "is 'png' but the key ends in .jpg"),
        (put_at(f"{LOCATION}.uri", "https://x"), "must start with s3://"),
        (put_at(f"{LOCATION}.uri", "s3://other/a.jpg"), "must be in the dataset's bucket 'data'"),
        (put_at(f"{LOCATION}.uri", "s3://data/IMG (1).jpg"), "key may contain only"),
        (put_at(f"{LOCATION}.uri", "s3://data"), "must be a bucket and a key"),
        (put_at(f"{LOCATION}.bucketOwner", "me"), "account number of 12 digits"),
        (
            put_at("messages.0.content", [{"text": "no image"}]),
            "dataset, messages: mixes kinds of content: image first on line 2; text first on line 1",
        ),
        (put_at("messages.1.content.0.text", "x" * 200_000), "more than 32,000 tokens"),
    ],
)
def test_error_names_the_line_the_field_and_the_problem(change: Callable[[dict[str, Any]], None], problem: str) -> None:
    errors = errors_after(change)

    assert any(problem in error for error in errors), errors


@pytest.mark.parametrize("text", ["operating system: linux", "chatbot: a", "robot", "user"])
def test_reserved_words_are_case_sensitive(text: str) -> None:
    assert errors_after(put_at("messages.1.content.0.text", text)) == []


@pytest.mark.parametrize("model", ["micro", "lite-2.0"])
def test_images_and_tools_depend_on_the_model(model: str) -> None:
    family = catalog.dataset_families()[model]
    record = {
        "messages": [
            {"role": "user", "content": [{"text": "a"}, OTHER_IMAGE]},
            {"role": "assistant", "content": [{"toolUse": USE}]},
        ]
    }
    rules = {error.rule for error in errors(lines([record]), family, None)}

    assert ("media_unsupported" in rules) == (model == "micro")
    assert ("tools_unsupported" in rules) == (model == "lite-2.0")


@given(st.data())
def test_any_json_value_anywhere_in_a_record_is_checked_without_a_crash(data: st.DataObject) -> None:
    record = data.draw(records("image", NOVA_1))
    replace_any_value(record, data.draw)

    assert isinstance(list(DatasetValidator(NOVA_1, "data").problems(lines([record]))), list)
