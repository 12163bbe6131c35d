"""What holds for all datasets: valid ones pass, a broken rule is named, and nothing in a file ends in a crash."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.answers.reserved_words import find_reserved_words
from distillation.dataset.likeness import Likenesses
from distillation.dataset.rules import RULES
from distillation.dataset.validator import errors, problems
from distillation.models.catalog import DATASET_MODELS, NOVA_1, NOVA_2, NOVA_MICRO, Family

EXTENSIONS = {"jpeg": ("jpg", "jpeg", "JPG"), "png": ("png",), "gif": ("gif",), "webp": ("webp",), "mp4": ("mp4",)}
EXTENSIONS |= {"mov": ("mov",), "mkv": ("mkv",), "webm": ("webm",), "pdf": ("pdf",)}

Mutation = Callable[[dict[str, Any], Any], None]

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: not text.isspace() and not find_reserved_words(text)
)
keys = st.from_regex(r"[A-Za-z0-9/_-]{1,20}", fullmatch=True)


@st.composite
def media(draw: st.DrawFn, kind: str, family: Family) -> dict[str, Any]:
    format = draw(st.sampled_from(family.formats[kind]))
    location = {"uri": f"s3://data/{draw(keys)}.{draw(st.sampled_from(EXTENSIONS[format]))}"}
    if draw(st.booleans()):
        location["bucketOwner"] = "111122223333"
    return {kind: {"format": format, "source": {"s3Location": location}}}


@st.composite
def records(draw: st.DrawFn, kind: str, family: Family) -> dict[str, Any]:
    """Return a record that Bedrock takes, of ``text`` or with media of a kind, in any number of turns."""
    messages = []
    for turn in range(draw(st.integers(1, 2))):
        question: list[dict[str, Any]] = [{"text": draw(texts)}]
        if kind != "text" and turn == 0:
            question += draw(st.lists(media(kind, family), min_size=1, max_size=min(3, family.limits[kind])))
        answer: list[dict[str, Any]] = [{"text": draw(texts)}]
        if family.reasoning and draw(st.booleans()):
            answer.insert(0, {"reasoningContent": {"reasoningText": {"text": draw(texts)}}})
        messages.append({"role": "user", "content": draw(st.permutations(question))})
        messages.append({"role": "assistant", "content": answer})
    found: dict[str, Any] = {"messages": messages}
    if draw(st.booleans()):
        found["system"] = [{"text": draw(texts)}]
    if draw(st.booleans()):
        found["schemaVersion"] = "bedrock-conversation-2024"
    return dict(draw(st.permutations(list(found.items()))))


@st.composite
def datasets(draw: st.DrawFn, family: Family, kind: str | None = None) -> list[dict[str, Any]]:
    """Return so many different records that the family takes them."""
    kind = kind or draw(st.sampled_from(["text", *(kind for kind, formats in family.formats.items() if formats)]))
    few = draw(st.lists(records(kind, family), min_size=1, max_size=2))
    return [copy.deepcopy(few[n % len(few)]) for n in range(family.minimum_records)]


def lines(written: list[dict[str, Any]], ascii_only: bool = True) -> list[bytes]:
    return [json.dumps(one, ensure_ascii=ascii_only).encode() + b"\n" for one in written]


@pytest.mark.parametrize("family", [NOVA_1, NOVA_2, NOVA_MICRO], ids=lambda family: family.name)
@settings(max_examples=20)
@given(st.data())
def test_any_valid_dataset_passes(family: Family, data: st.DataObject) -> None:
    written = data.draw(datasets(family))

    assert (
        list(errors(lines(written, data.draw(st.booleans())), family, data.draw(st.sampled_from(["data", None])))) == []
    )


def at(*path: str | int) -> Callable[[dict[str, Any], Any], None]:
    def put(record: dict[str, Any], value: Any) -> None:
        target: Any = record
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return put


def image(record: dict[str, Any]) -> dict[str, Any]:
    return next(block["image"] for block in record["messages"][0]["content"] if "image" in block)


def text_of(record: dict[str, Any]) -> dict[str, Any]:
    return next(block for block in record["messages"][0]["content"] if "text" in block)


def location(name: str, *values: Any) -> Mutation:
    return lambda record, draw: image(record)["source"]["s3Location"].update({name: draw(st.sampled_from(values))})


def put(value: Any, *path: str | int) -> Mutation:
    return lambda record, draw: at(*path)(record, value)


def add(*blocks: dict[str, Any], turn: int = 1) -> Mutation:
    return lambda record, draw: record["messages"][turn]["content"].extend(blocks)


def reserve(record: dict[str, Any], draw: Any) -> None:
    word = draw(st.sampled_from(["User:", "BOT:", "Assistant:", "System:", "Thought:", "<image>", "<unk>", "[EOS]"]))
    text_of(record)["text"] = f"{draw(texts)} Operating {word} {draw(texts)}"


def repeat(kind: str, times: int) -> Mutation:
    block = {kind: {"format": "mp4", "source": {"s3Location": {"uri": "s3://data/a.mp4"}}}}
    return lambda record, draw: record["messages"][0].update(content=[{"text": "What is this?"}, *[block] * times])


def with_tools(uses: list[dict[str, Any]], results: list[dict[str, Any]]) -> Mutation:
    tool = {"toolSpec": {"name": "look", "description": "Look.", "inputSchema": {"json": {"type": "object"}}}}

    def mutate(record: dict[str, Any], draw: Any) -> None:
        record["toolConfig"] = {"tools": [tool]}
        record["messages"][1:1] = [
            {"role": "assistant", "content": [{"toolUse": use} for use in uses] or [{"text": "a"}]},
            {"role": "user", "content": [{"toolResult": result} for result in results] or [{"text": "b"}]},
        ]

    return mutate


USE = {"toolUseId": "1", "name": "look", "input": {}}
RESULT = {"toolUseId": "1", "content": [{"text": "seen"}]}
OTHER_IMAGE = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://data/b.png"}}}}
MUTATIONS: list[tuple[str, Mutation]] = [
    ("record_fields", put("x", "comment")),
    ("schema_version", put("bedrock-conversation-2023", "schemaVersion")),
    ("system", put("You see.", "system")),
    ("system", put([{"text": "a", "cachePoint": {}}], "system")),
    ("messages", put([], "messages")),
    ("messages", put(None, "messages")),
    ("message_fields", put({"role": "user"}, "messages", 0)),
    ("role_order", put("User", "messages", 0, "role")),
    ("role_order", put("user", "messages", 1, "role")),
    ("last_role", lambda record, draw: record["messages"].append(record["messages"][0])),
    ("content_list", put([], "messages", 1, "content")),
    ("content_block", add({"audio": {}}, turn=0)),
    ("content_block", add({"text": "a", "image": {}}, turn=0)),
    ("text_type", put([{"text": 3}], "messages", 1, "content")),
    ("empty_text", put([{"text": ""}], "messages", 1, "content")),
    ("reserved_word", reserve),
    ("assistant_content", add(OTHER_IMAGE)),
    ("assistant_content", add({"toolResult": RESULT})),
    ("media_shape", lambda record, draw: image(record).update(source={"bytes": "AAAA"})),
    ("media_shape", lambda record, draw: image(record).pop("format")),
    ("media_format", lambda record, draw: image(record).update(format=draw(st.sampled_from(["jpg", "heic", "tiff"])))),
    ("media_count", add(*[OTHER_IMAGE] * 11, turn=0)),
    ("media_count", repeat("video", 2)),
    ("media_mixed", add(*[{"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://data/a.mp4"}}}}], turn=0)),
    ("uri", location("uri", "https://data/a.jpg", "s3://data", "s3://data/", "s3://D/a.jpg", "/a.jpg")),
    (
        "uri_characters",
        location("uri", "s3://data/IMG (1).jpg", "s3://data/a+b.jpg", "s3://data/é.jpg", "s3://data/가.jpg"),
    ),
    ("bucket", location("uri", "s3://other/a.jpg")),
    ("bucket_owner", location("bucketOwner", "me", "12345678901", 111122223333, "１１１１２２２２３３３３")),
    ("extension", lambda record, draw: image(record).update(OTHER_IMAGE["image"], format="gif")),
    ("reasoning", add({"reasoningContent": {"reasoningText": {"text": "I look."}}})),
    ("no_content", put([{"reasoningContent": {"reasoningText": {"text": "a"}}}], "messages", 1, "content")),
    ("tool_config", put({"tools": []}, "toolConfig")),
    ("tool_use", add({"toolUse": USE})),
    ("tool_use", with_tools([USE | {"name": "hear"}], [])),
    ("tool_use", with_tools([USE, USE], [])),
    ("tool_use", with_tools([USE | {"input": "x"}], [])),
    ("tool_result", with_tools([], [RESULT])),
    ("tool_result", with_tools([USE], [RESULT, RESULT])),
    ("tool_result", with_tools([USE], [RESULT | {"content": [{"text": "a", "json": {}}]}])),
    ("record_tokens", put([{"text": "word " * 30_000}], "messages", 1, "content")),
    ("modality", lambda record, draw: record["messages"][0].update(content=[{"text": draw(texts)}])),
]


@pytest.mark.parametrize(("rule", "mutate"), MUTATIONS, ids=[rule for rule, _ in MUTATIONS])
@settings(max_examples=4)
@given(st.data())
def test_broken_rule_is_named_at_its_line(rule: str, mutate: Mutation, data: st.DataObject) -> None:
    written = data.draw(datasets(NOVA_1, "image"))
    place = data.draw(st.integers(0, len(written) - 1)) if rule != "bucket" else len(written) - 1
    mutate(written[place], data.draw)
    found = [one for one in errors(lines(written), NOVA_1, "data") if one.rule == rule]

    assert {one.line for one in found} == {0 if rule == "modality" else place + 1}
    assert all(one.field and one.fact and one.remedy for one in found)


WHOLE_LINES = {
    "blank_line": b" \n",
    "encoding": b'{"messages": "\xff"}\n',
    "json_syntax": b'{"messages": [NaN]}\n',
}
ELSEWHERE = {
    # tests/cli/test_validate.py and test_validate_dataset.py
    *("file_name", "too_few_records", "too_many_records", "validation_file", "media_unsupported", "tools_unsupported"),
    *("image_missing", "image_bytes", "image_format", "image_small", "image_pixels", "image_unreadable"),
}


def test_every_rule_that_bedrock_enforces_is_broken_by_a_test() -> None:
    broken = {rule for rule, _ in MUTATIONS} | WHOLE_LINES.keys() | ELSEWHERE

    assert broken == {name for name, rule in RULES.items() if rule.severity == "error"}


@pytest.mark.parametrize("rule", WHOLE_LINES)
def test_line_that_is_no_record_is_named(rule: str) -> None:
    good = lines([{"messages": [{"role": r, "content": [{"text": r}]} for r in ("user", "assistant")]}])

    assert [one.rule for one in errors([*good * 8, WHOLE_LINES[rule]], NOVA_1, None)] == [rule]


@pytest.mark.parametrize("model", ["micro", "lite-2.0"])
def test_models_differ_in_what_they_take(model: str) -> None:
    family = DATASET_MODELS[model]
    record = {
        "messages": [
            {"role": "user", "content": [{"text": "a"}, OTHER_IMAGE]},
            {"role": "assistant", "content": [{"toolUse": USE}]},
        ]
    }
    found = {one.rule for one in errors(lines([record]), family, None)}

    assert ("media_unsupported" in found) == (model == "micro")
    assert ("tools_unsupported" in found) == (model == "lite-2.0")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("text"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.data())
def test_whatever_stands_in_a_record_is_judged_and_not_a_crash(data: st.DataObject) -> None:
    record = data.draw(records("image", NOVA_1))
    target: Any = record
    while isinstance(target, dict | list) and target:
        step = data.draw(st.sampled_from([*target] if isinstance(target, dict) else range(len(target))))
        if not isinstance(target[step], dict | list) or data.draw(st.booleans()):
            target[step] = data.draw(values)
            break
        target = target[step]

    assert isinstance(list(problems(lines([record]), NOVA_1, "data")), list)


@given(st.data())
def test_bytes_that_were_damaged_or_never_were_a_dataset_are_judged(data: st.DataObject) -> None:
    whole = bytearray(b"".join(lines([data.draw(records("image", NOVA_1)) for _ in range(2)])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    body = bytes(whole[: data.draw(st.integers(0, len(whole)))]) + data.draw(st.binary(max_size=20))

    assert "too_few_records" in {one.rule for one in problems(body.splitlines(keepends=True), NOVA_1, None)}


@given(st.data())
def test_lines_like_one_before_are_judged_as_if_each_were_parsed(data: st.DataObject) -> None:
    one = data.draw(records("image", NOVA_1))
    written = [one]
    for _ in range(4):
        other = copy.deepcopy(data.draw(st.sampled_from(written)))
        odd = texts | st.sampled_from(["", " ", "[EOS]", "x", '"\\', '"}, {"'])
        other["messages"][-1]["content"][-1]["text"] = data.draw(odd)
        if data.draw(st.booleans()):
            text_of(other)["text"] = data.draw(odd)
        image(other)["source"]["s3Location"]["uri"] = data.draw(
            st.sampled_from(["s3://data/a.jpg", "s3://data/b.png", "s3://else/a.jpg", 's3://data/"', "x"])
        )
        written.append(other)
    body = lines(written, data.draw(st.booleans()))
    read = list(problems(body, NOVA_1, "data"))
    with patch.object(Likenesses, "learn", lambda *_: None):
        parsed = list(problems(body, NOVA_1, "data"))

    assert read == parsed
