from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from distillation.dataset.writer import training_record
from tests.support.builders import any_run
from tests.support.command import distill
from tests.support.fakes import bucket

SUCCESS = "Validation successful, all samples passed"


def write_lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def example(number: int = 0, label: str = "cat, sofa, window", **changed: Any) -> dict[str, Any]:
    return training_record(any_run(), "data", f"{number:064x}", label) | changed


def examples(count: int) -> list[dict[str, Any]]:
    return [example(number) for number in range(count)]


@pytest.mark.parametrize("model", ["lite", "lite-1.0", "pro", "pro-1.0", "amazon.nova-lite-v1:0"])
def test_valid_dataset_ends_with_the_line_of_the_aws_samples_script(tmp_path: Path, model: str) -> None:
    result = distill("validate", "-i", write_lines(tmp_path / "d.jsonl", *examples(8)), "-m", model)

    assert (result.exit_code, result.stdout) == (0, f"{SUCCESS}\n")


@pytest.mark.parametrize("model", ["micro", "micro-1.0"])
def test_micro_accepts_texts_and_no_images(tmp_path: Path, model: str) -> None:
    texts = [
        example(messages=[{"role": role, "content": [{"text": f"{role} {n}"}]} for role in ("user", "assistant")])
        for n in range(8)
    ]

    assert distill("validate", "-i", write_lines(tmp_path / "t.jsonl", *texts), "-m", model).exit_code == 0
    result = distill("validate", "-i", write_lines(tmp_path / "d.jsonl", *examples(8)), "-m", model)
    assert result.exit_code == 1
    assert result.stdout.startswith("error: line 1, messages.0.content.1.image: nova-micro does not support images")


def test_every_problem_has_line_field_and_remedy(tmp_path: Path) -> None:
    broken = [example(1, schemaVersion="v2"), example(2, label="a System: b"), *examples(6)]
    result = distill("validate", "--input_file", write_lines(tmp_path / "d.jsonl", *broken), "--model_name", "lite")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        "error: line 1, schemaVersion: must be 'bedrock-conversation-2024' (got \"v2\"). "
        'Write "bedrock-conversation-2024".',
        "error: line 2, messages.1.content.0.text: contains System:, which Bedrock reserves. Rephrase the text.",
    ]
    assert SUCCESS not in result.stdout


def test_problems_of_a_rule_are_one_line_with_their_number_and_all_lists_each(tmp_path: Path) -> None:
    broken = [example(n, schemaVersion="v2") for n in range(7)] + [example(8, comment="x")]
    file = write_lines(tmp_path / "d.jsonl", *broken)
    grouped, listed = (distill("validate", "-i", file, "-m", "lite", *more).stdout for more in ((), ("--all",)))

    assert grouped.splitlines() == [
        "error: line 1, schemaVersion: must be 'bedrock-conversation-2024' (got \"v2\"). "
        'Write "bedrock-conversation-2024". (7 problems of the rule schema_version, lines 1, 2, 3, 4, 5, ...; '
        "--all lists each)",
        "error: line 8, comment: unknown field (allowed: messages, schemaVersion, system, toolConfig). "
        "Keep only schemaVersion, system, toolConfig and messages.",
        "8 errors, 0 warnings in 8 records",
    ]
    assert len(listed.splitlines()) == 9


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (gzip.compress(b"{}\n" * 50, mtime=0), "compressed with gzip"),
        (("{}\n" * 50).encode("utf-16"), "in UTF-16"),
        (("{}\n" * 50).encode("utf-16-le"), "in UTF-16"),
        (json.dumps(examples(9), indent=1).encode(), "a JSON array"),
        (json.dumps(examples(9)).encode(), "a JSON array"),
        (json.dumps(examples(9)).encode("utf-8-sig"), "a JSON array"),
        (json.dumps(example(), indent=1).encode(), "JSON over several lines"),
        (b"PK\x03\x04" + bytes(range(256)), "a ZIP archive"),
    ],
)
def test_file_of_another_form_is_named_once(tmp_path: Path, body: bytes, form: str) -> None:
    (tmp_path / "d.jsonl").write_bytes(body)
    result = distill("validate", "-i", tmp_path / "d.jsonl", "-m", "lite", "--all")

    assert result.exit_code == 1
    assert form in result.stdout.splitlines()[0]
    assert result.stdout.splitlines()[1:] == ["1 error, 0 warnings in 0 records"]


@pytest.mark.parametrize("in_s3", [False, True])
def test_line_of_any_length_is_named_as_too_long(tmp_path: Path, s3: dict[str, bytes], in_s3: bool) -> None:
    body = b"".join(json.dumps(record).encode() + b"\n" for record in [example(9, label="x" * 9_000_000), *examples(8)])
    (tmp_path / "d.jsonl").write_bytes(body)
    s3["d.jsonl"] = body
    result = distill("validate", "-i", "s3://data/d.jsonl" if in_s3 else tmp_path / "d.jsonl", "-m", "lite", "--all")

    assert result.stdout.splitlines() == [
        "error: line 1, line: the line has 4,194,304 bytes or more, which no valid record has. "
        "Write one record per line, and its media in S3.",
        "1 error, 0 warnings in 9 records",
    ]


def test_warnings_are_listed_and_fail_only_with_strict(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "d.jsonl", *examples(8), example(0))
    result, strict = (distill("validate", "-i", file, "-m", "lite", *more) for more in ((), ("--strict",)))

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "warning: line 9, messages: same question and answer as on line 1. Remove one of the two records.",
        SUCCESS,
    ]
    assert strict.exit_code == 1
    assert SUCCESS not in strict.stdout


def test_validation_file_is_checked_and_lite_2_accepts_none(tmp_path: Path) -> None:
    train, validation = (
        write_lines(tmp_path / "d.jsonl", *examples(200)),
        write_lines(tmp_path / "v.jsonl", example(500)),
    )
    both = ("validate", "-i", train, "--validation", validation)

    assert distill(*both, "-m", "lite").exit_code == 0
    assert "nova-2 does not support a validation file" in distill(*both, "-m", "lite-2.0").stdout
    assert distill("validate", "-i", train, "-m", "lite-2.0").exit_code == 0


def test_json_output_is_one_object(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "d.jsonl", example(schemaVersion=2), *examples(3))
    result = json.loads(distill("validate", "-i", file, "-m", "lite", "--json").stdout)

    assert (result["valid"], result["errors"], result["warnings"]) == (False, 2, 1)
    assert result["records"] == {"train": 4, "validation": 0}
    assert {"severity", "rule", "file", "line", "field", "message", "remedy"} == result["problems"][0].keys()


def test_file_name_that_bedrock_rejects_is_an_error(tmp_path: Path) -> None:
    result = distill("validate", "-i", write_lines(tmp_path / "my data.txt", *examples(8)), "-m", "lite")

    assert result.exit_code == 1
    assert "end the name with .jsonl" in result.stdout


def test_missing_file_and_unknown_model_are_refused_with_a_remedy(tmp_path: Path) -> None:
    missing = distill("validate", "-i", tmp_path / "none.jsonl", "-m", "lite", "--json")
    unknown = distill("validate", "-i", write_lines(tmp_path / "d.jsonl"), "-m", "nova")

    assert (missing.exit_code, unknown.exit_code) == (2, 2)
    assert "No such file" in missing.stderr
    # Not even the beginning of an object.
    assert missing.stdout == ""
    assert "known: micro, micro-1.0, lite" in unknown.stderr


def test_lone_surrogates_in_names_do_not_end_the_listing(tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    file.write_text(r'{"\ud800": 1, "messages": []}')

    assert distill("validate", "-i", file, "-m", "lite").exit_code == 1


def jpeg(size: tuple[int, int] = (60, 40), kind: str = "JPEG") -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size).save(output, kind)
    return output.getvalue()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    store = bucket()
    client: Any = store.client

    def get_object(*, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        if Bucket != "data" or Key not in client.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(client.objects[Key]), "ContentLength": len(client.objects[Key])}

    monkeypatch.setattr(client, "get_object", get_object)
    monkeypatch.setattr(boto3, "client", lambda *_: client)
    return client.objects


def test_dataset_is_read_from_s3_and_its_images_must_be_in_the_same_bucket(s3: dict[str, bytes]) -> None:
    s3["runs/r/train.jsonl"] = b"".join(json.dumps(record).encode() + b"\n" for record in examples(8))
    s3["other.jsonl"] = s3["runs/r/train.jsonl"].replace(b"s3://data/", b"s3://else/", 1)

    assert distill("validate", "-i", "s3://data/runs/r/train.jsonl", "-m", "lite").exit_code == 0
    result = distill("validate", "-i", "s3://data/other.jsonl", "-m", "lite")
    assert "must be in the dataset's bucket 'data' (got 'else')" in result.stdout


def test_images_are_checked_on_request(tmp_path: Path, s3: dict[str, bytes]) -> None:
    def key(number: int) -> str:
        return f"images/900/{number:064x}.jpg"

    good = dict.fromkeys(map(key, range(8)), jpeg())
    bad = {key(1): jpeg((24, 40)), key(2): jpeg(kind="PNG"), key(3): b"no image", key(4): jpeg((8001, 30))}
    bad[key(5)] = bytes(10 * 1024 * 1024 + 1)
    file = write_lines(tmp_path / "d.jsonl", *examples(8), example(0, label="tree, lake, sky"))
    arguments = ("validate", "-i", file, "-m", "lite", "--images", "--json")

    s3.update(good)
    assert json.loads(distill(*arguments).stdout)["errors"] == 0
    s3.update(bad)
    del s3[key(6)]
    result = {
        p["line"]: p["rule"] for p in json.loads(distill(*arguments).stdout)["problems"] if p["severity"] == "error"
    }
    assert result == {
        2: "image_small",
        3: "image_format",
        4: "image_unreadable",
        5: "image_pixels",
        6: "image_bytes",
        7: "image_missing",
    }
