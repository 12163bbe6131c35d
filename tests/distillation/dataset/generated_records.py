"""Strategies for valid records, and mutations that each break one rule."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from distillation.answers.reserved_words import may_be_reserved
from distillation.dataset.rules import Problem
from distillation.dataset.validator import DatasetValidator
from distillation.models import catalog
from distillation.models.model import Family

NOVA_1, NOVA_2, NOVA_MICRO = (catalog.get_family(name) for name in ("nova-v1", "nova-2", "nova-micro"))
EXTENSIONS = {"jpeg": ("jpg", "jpeg", "JPG"), "png": ("png",), "gif": ("gif",), "webp": ("webp",), "mp4": ("mp4",)}
EXTENSIONS |= {"mov": ("mov",), "mkv": ("mkv",), "webm": ("webm",), "pdf": ("pdf",)}

Mutation = Callable[[dict[str, Any], Any], None]

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: not text.isspace() and not may_be_reserved(text)
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
    """Return a valid record of ``text`` only or with media of one kind, in one or two rounds."""
    messages = []
    for round_number in range(draw(st.integers(1, 2))):
        question: list[dict[str, Any]] = [{"text": draw(texts)}]
        if kind != "text" and round_number == 0:
            question += draw(st.lists(media(kind, family), min_size=1, max_size=min(3, family.limits[kind])))
        answer: list[dict[str, Any]] = [{"text": draw(texts)}]
        if family.reasoning and draw(st.booleans()):
            answer.insert(0, {"reasoningContent": {"reasoningText": {"text": draw(texts)}}})
        messages.append({"role": "user", "content": draw(st.permutations(question))})
        messages.append({"role": "assistant", "content": answer})
    record: dict[str, Any] = {"messages": messages}
    if draw(st.booleans()):
        record["system"] = [{"text": draw(texts)}]
    if draw(st.booleans()):
        record["schemaVersion"] = "bedrock-conversation-2024"
    return dict(draw(st.permutations(list(record.items()))))


@st.composite
def datasets(draw: st.DrawFn, family: Family, kind: str | None = None) -> list[dict[str, Any]]:
    """Return as many records as the family requires, of one or two different forms."""
    kind = kind or draw(st.sampled_from(["text", *(kind for kind, formats in family.formats.items() if formats)]))
    few = draw(st.lists(records(kind, family), min_size=1, max_size=2))
    return [copy.deepcopy(few[n % len(few)]) for n in range(family.minimum_records)]


def lines(records: Sequence[Any], ascii_only: bool = True) -> list[bytes]:
    return [json.dumps(record, ensure_ascii=ascii_only).encode() + b"\n" for record in records]


def errors(lines: Iterable[bytes], family: Family, bucket: str | None) -> list[Problem]:
    problems = DatasetValidator(family, bucket).problems(lines)
    return [problem for problem in problems if problem.severity == "error"]


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


def add(*blocks: dict[str, Any], message: int = 1) -> Mutation:
    return lambda record, draw: record["messages"][message]["content"].extend(blocks)


def reserve(record: dict[str, Any], draw: Any) -> None:
    word = draw(st.sampled_from(["User:", "BOT:", "Assistant:", "System:", "Thought:", "<image>", "<unk>", "[EOS]"]))
    text_of(record)["text"] = f"{draw(texts)} Operating {word} {draw(texts)}"


def repeat_video(times: int) -> Mutation:
    return lambda record, draw: record["messages"][0].update(content=[{"text": "What is this?"}, *[VIDEO] * times])


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
VIDEO = {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://data/a.mp4"}}}}
OTHER_IMAGE = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://data/b.png"}}}}
MUTATIONS: list[tuple[str, Mutation]] = [
    ("record_fields", put("x", "comment")),
    ("schema_version", put("bedrock-conversation-2023", "schemaVersion")),
    ("system", put("You see.", "system")),
    ("system", put([{"cachePoint": {}}], "system")),
    ("messages", put([], "messages")),
    ("messages", put(None, "messages")),
    ("message_fields", put({"role": "user"}, "messages", 0)),
    ("message_fields", put(None, "messages", 0, "name")),
    ("role_order", put("User", "messages", 0, "role")),
    ("role_order", put("user", "messages", 1, "role")),
    ("last_role", lambda record, draw: record["messages"].append(record["messages"][0])),
    ("content_list", put([], "messages", 1, "content")),
    ("content_block", add({"audio": {}}, message=0)),
    ("content_block", add({"text": "a", "image": {}}, message=0)),
    ("content_block", add({"text": None, "image": None}, message=0)),
    (
        "media_unsupported",
        add({"document": {"format": "pdf", "source": {"s3Location": {"uri": "s3://data/a.pdf"}}}}, message=0),
    ),
    ("text_type", put([{"text": 3}], "messages", 1, "content")),
    ("empty_text", put([{"text": ""}], "messages", 1, "content")),
    ("reserved_word", reserve),
    ("assistant_content", add(OTHER_IMAGE)),
    ("assistant_content", add({"toolResult": RESULT})),
    ("media_shape", lambda record, draw: image(record).update(source={"bytes": "AAAA"})),
    ("media_shape", lambda record, draw: image(record).pop("format")),
    ("media_format", lambda record, draw: image(record).update(format=draw(st.sampled_from(["jpg", "heic", "tiff"])))),
    ("media_count", add(*[OTHER_IMAGE] * 11, message=0)),
    ("media_count", repeat_video(2)),
    (
        "media_mixed",
        add(*[{"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://data/a.mp4"}}}}], message=0),
    ),
    ("uri", location("uri", "https://data/a.jpg", "s3://data", "s3://data/", "s3://D/a.jpg", "/a.jpg")),
    (
        "uri_characters",
        location("uri", "s3://data/IMG (1).jpg", "s3://data/a+b.jpg", "s3://data/é.jpg", "s3://data/가.jpg"),
    ),
    ("bucket", location("uri", "s3://other/a.jpg")),
    ("bucket_owner", location("bucketOwner", "me", "12345678901", 111122223333, "１１１１２２２２３３３３")),
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
    ("tool_result", with_tools([USE], [RESULT | {"content": [{"image": {}}]}])),
    ("reserved_word", with_tools([USE], [RESULT | {"content": [{"text": "a Bot: b"}]}])),
    ("record_tokens", with_tools([USE], [RESULT | {"content": [{"text": "word " * 30_000}]}])),
    ("record_tokens", with_tools([USE], [RESULT | {"content": [{"json": {"page": "word " * 30_000}}]}])),
    ("record_tokens", put([{"text": "word " * 30_000}], "messages", 1, "content")),
    ("modality", lambda record, draw: record["messages"][0].update(content=[{"text": draw(texts)}])),
]

TOLERATED: list[tuple[str, str, Mutation]] = [
    ("unknown_field", "messages.0.content.*.cachePoint", lambda record, draw: text_of(record).update(cachePoint={})),
    ("unknown_field", "messages.0.content.*.audio", lambda record, draw: text_of(record).update(audio=None)),
    ("unknown_field", "system.0.name", put([{"text": "You see.", "name": "a"}], "system")),
    ("unknown_field", "messages.0.content.*.image.size", lambda record, draw: image(record).update(size=1)),
    (
        "unknown_field",
        "messages.0.content.*.image.source.bytes",
        lambda record, draw: image(record)["source"].update(bytes=None),
    ),
    ("unknown_field", "messages.0.content.*.image.source.s3Location.region", location("region", "us-east-1")),
    (
        "unknown_field",
        "toolConfig.toolChoice",
        lambda record, draw: (
            with_tools([USE], [RESULT])(record, draw) or record["toolConfig"].update(toolChoice={"auto": {}})
        ),
    ),
    ("unknown_field", "messages.1.content.0.toolUse.type", with_tools([USE | {"type": "x"}], [RESULT])),
    ("unknown_field", "messages.2.content.0.toolResult.type", with_tools([USE], [RESULT | {"type": "x"}])),
    (
        "unknown_field",
        "messages.2.content.0.toolResult.content.0.image",
        with_tools([USE], [RESULT | {"content": [{"text": "a", "image": {}}]}]),
    ),
    ("null_field", "schemaVersion", put(None, "schemaVersion")),
    ("null_field", "system", put(None, "system")),
    ("null_field", "toolConfig", put(None, "toolConfig")),
    ("null_field", "messages.0.content.*.video", lambda record, draw: text_of(record).update(video=None)),
    ("null_field", "messages.0.content.*.image.source.s3Location.bucketOwner", location("bucketOwner", None)),
    ("null_field", "messages.2.content.0.toolResult.status", with_tools([USE], [RESULT | {"status": None}])),
    (
        "null_field",
        "messages.2.content.0.toolResult.content.0.json",
        with_tools([USE], [RESULT | {"content": [{"text": "a", "json": None}]}]),
    ),
    ("reserved_word_case", "system.0.text", put([{"text": "system: You see."}], "system")),
    (
        "reserved_word_case",
        "messages.0.content.*.text",
        lambda record, draw: text_of(record).update(text="a chatbot: b"),
    ),
    (
        "reserved_word_case",
        "messages.1.content.0.text",
        put([{"text": "THOUGHT: a <IMAGE>"}], "messages", 1, "content"),
    ),
    (
        "reserved_word_case",
        "messages.2.content.0.toolResult.content.0.text",
        with_tools([USE], [RESULT | {"content": [{"text": "[eos]"}]}]),
    ),
    ("extension", "messages.0.content.*.image.format", location("uri", "s3://data/a.avif.pdf")),
]
"""Rule, field with ``*`` for an index, and mutation of each form that AWS's validators let pass."""

UNREADABLE_LINES: dict[str, bytes] = {
    "blank_line": b" \n",
    "encoding": b'{"messages": "\xff"}\n',
    "json_syntax": b'{"messages": [NaN]}\n',
}
"""One line for each rule about lines that are not records."""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("text"), inner, max_size=3)
    ),
    max_leaves=8,
)


def replace_any_value(record: dict[str, Any], draw: Any) -> None:
    """Replace a value anywhere in a record by any JSON value."""
    target: Any = record
    while isinstance(target, dict | list) and target:
        step = draw(st.sampled_from([*target] if isinstance(target, dict) else range(len(target))))
        if not isinstance(target[step], dict | list) or draw(st.booleans()):
            target[step] = draw(values)
            return
        target = target[step]


def damage(body: bytes, draw: Any) -> bytes:
    """Flip bits of a file, truncate it and add random bytes."""
    damaged = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        damaged[draw(st.integers(0, len(damaged) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(damaged[: draw(st.integers(0, len(damaged)))]) + draw(st.binary(max_size=20))
