from __future__ import annotations

import re
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
    RESULT,
    TOLERATED,
    USE,
    Mutation,
    datasets,
    errors,
    lines,
    records,
    replace_any_value,
    with_tools,
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


@pytest.mark.parametrize(
    ("rule", "field", "mutate"), TOLERATED, ids=[f"{rule} {field}" for rule, field, _ in TOLERATED]
)
@settings(max_examples=3)
@given(st.data())
def test_finding_that_the_validators_of_aws_let_pass_is_one_warning_with_its_first_position(
    rule: str, field: str, mutate: Mutation, data: st.DataObject
) -> None:
    dataset = data.draw(datasets(NOVA_1, "image"))
    for record in dataset[2:5]:
        mutate(record, data.draw)
    problems = list(DatasetValidator(NOVA_1, "data").problems(lines(dataset)))
    (warning,) = [problem for problem in problems if problem.rule == rule]

    assert [problem for problem in problems if problem.severity == "error"] == []
    assert warning.line == 3
    assert re.fullmatch(field.replace(".", r"\.").replace("*", r"\d+"), warning.field)
    assert warning.description.endswith(f"in 3 of {len(dataset)} records, first here")


def test_unknown_fields_of_different_objects_are_different_warnings() -> None:
    record = example()
    for owner in (record["system"][0], *record["messages"][0]["content"]):
        owner.update(first=1, second=2)
    warnings = [p for p in DatasetValidator(NOVA_1, "data").problems(lines([record] * 9)) if p.rule == "unknown_field"]

    assert [warning.field for warning in warnings] == ["system.0.first", "messages.0.content.0.first"]


def test_blank_text_in_a_tool_result_is_a_warning() -> None:
    record = example()
    with_tools([USE], [RESULT | {"content": [{"text": " "}]}])(record, None)
    (problem,) = [p for p in DatasetValidator(NOVA_1, "data").problems(lines([record])) if p.rule == "blank_text"]

    assert (problem.severity, problem.field) == ("warning", "messages.2.content.0.toolResult.content.0.text")


def test_records_that_differ_only_in_a_tool_result_are_different_questions() -> None:
    def record(result: dict[str, Any]) -> dict[str, Any]:
        changed = example()
        with_tools([USE], [RESULT | {"content": [result]}])(changed, None)
        return changed

    different = lines([record({"text": "a"}), record({"text": "b"}), record({"json": {"a": 1}}), record({"json": {}})])
    rules = [problem.rule for problem in DatasetValidator(NOVA_1, "data").problems(different)]
    repeated = [p.rule for p in DatasetValidator(NOVA_1, "data").problems(lines([record({"json": {"a": 1}})] * 2))]

    assert "duplicate_record" not in rules
    assert "duplicate_record" in repeated


def test_long_names_are_cut_in_the_position() -> None:
    (error,) = errors_after(lambda record: record.update({"x" * 100_000: 1}))

    assert len(error) < 400


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
        (
            put_at(
                "messages.0.content.1",
                {"document": {"format": "pdf", "source": {"s3Location": {"uri": "s3://data/a.pdf"}}}},
            ),
            "nova-v1 does not support documents in training data",
        ),
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


TEXTS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
OPENAI = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x/a.jpg"}}]
ANTHROPIC = [{"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "YQ=="}}]


@pytest.mark.parametrize(
    ("record", "rule", "conversion"),
    [
        ({"messages": TEXTS}, "openai_record", "{text}"),
        ({"messages": [{"role": "system", "content": "s"}, *TEXTS]}, "openai_record", '"system"'),
        ({"messages": [{"role": "user", "content": OPENAI}, TEXTS[1]]}, "openai_record", "s3Location"),
        ({"messages": [{"role": "user", "content": ANTHROPIC}, TEXTS[1]]}, "anthropic_record", "upload each base64"),
        ({"prompt": "a", "completion": "b"}, "prompt_completion_record", "assistant message"),
        ({"instruction": "a", "input": "", "output": "b"}, "prompt_completion_record", "assistant message"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference_record", "leave out the rejected"),
        (
            {"input": {}, "preferred_output": [], "non_preferred_output": []},
            "preference_record",
            "leave out the rejected",
        ),
        ({"messages": [TEXTS[0], {"role": "assistant", "candidates": []}]}, "preference_record", "chosen answer"),
        ({"input": "a", "output": "b"}, "prompt_completion_record", "assistant message"),
        ({"prompt": "a", "response": "b"}, "prompt_completion_record", "assistant message"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "sharegpt_record", "human or user as user"),
    ],
)
def test_record_of_another_api_is_one_error_that_names_the_conversion(
    record: dict[str, Any], rule: str, conversion: str
) -> None:
    (error,) = errors(lines([record, *[example()] * 9]), NOVA_1, "data")

    assert error.rule == rule
    assert conversion in error.remedy


def test_format_in_upper_case_is_a_warning() -> None:
    record = example()
    record["messages"][0]["content"][1]["image"]["format"] = "JPEG"
    problems = list(DatasetValidator(NOVA_1, "data").problems(lines([record] * 9)))
    (warning,) = [problem for problem in problems if problem.rule == "media_format_case"]

    assert warning.severity == "warning"
    assert warning.field == "messages.0.content.1.image.format"
    assert "Converse refuses" in warning.description


@pytest.mark.parametrize("text", ["operating system: linux", "chatbot: a", "robot", "user", "THOUGHT: a"])
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
