"""What validating a dataset costs, beside json.loads and a pydantic model of the same schema; and what writing it does.

    python -m benchmarks.validate [--records 1000,20000] [--rounds 5]

Time is of the processor, in one process, in turns: json.loads of every line, ours, pydantic. Peak memory is of a whole
process each: ``distill validate``, the pydantic model, and the work of the states WriteDataset and ValidateDataset on
a bucket that is a folder. Records are as the pipeline writes them, 1.6 kB each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

SYSTEM = "You index photographs for an archive and answer with keywords only. " * 15
USER = "Write 15 to 25 keywords: objects, place, action and mood, visual character. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", default="1000,20000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        name, folder = asked.alone
        ALONE[name](Path(folder), int(asked.records), asked.rounds)
        return
    for count in map(int, asked.records.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            _say({"records": count, **_measure(Path(folder), count, asked.rounds)})


def _measure(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """Measure in processes of their own; this one stays small, as a child's peak counts from its parent's size."""

    def alone(name: str) -> float:
        options = ["--records", str(count), "--rounds", str(rounds), "--alone", name, str(folder)]
        return _peak_mb([sys.executable, "-m", __spec__.name, *options])

    alone("labels")
    peaks = {"WriteDataset": alone("write"), "ValidateDataset": alone("validate"), "pydantic": alone("pydantic")}
    file = _file(folder, count)
    peaks["distill validate"] = _peak_mb([sys.executable, "-m", "cli.main", "validate", "-i", str(file), "-m", "lite"])
    alone("time")
    times = json.loads((folder / "times.json").read_text())
    return {"megabytes": round(file.stat().st_size / 1e6, 1), **times, "peak MB": peaks}


def _time(folder: Path, count: int, rounds: int) -> None:
    ways = {"json.loads": _loads, "ours": _ours, "pydantic": _pydantic}
    seconds = [{name: _seconds(way, _file(folder, count)) for name, way in ways.items()} for _ in range(rounds)]
    found = {
        "seconds": {name: round(statistics.median(one[name] for one in seconds), 3) for name in ways},
        "times json.loads": {
            name: round(statistics.median(one[name] / one["json.loads"] for one in seconds), 2) for name in ways
        },
    }
    (folder / "times.json").write_text(json.dumps(found))


def _file(folder: Path, count: int) -> Path:
    return folder / f"runs/holiday-1/dataset/train-{count}.jsonl"


def _loads(file: Path) -> None:
    with file.open("rb") as lines:
        for line in lines:
            json.loads(line)


def _ours(file: Path) -> None:
    from distillation.dataset.validator import problems
    from distillation.models.catalog import NOVA_1

    with file.open("rb") as lines:
        found = list(problems(lines, NOVA_1, "data"))
    assert not found, found[0]


def _pydantic(file: Path) -> None:
    record = _pydantic_record()
    with file.open("rb") as lines:
        for line in lines:
            record.model_validate_json(line)


def _pydantic_record() -> Any:
    """Return a pydantic model of the schema: fields, roles, formats, URIs, reserved words; nothing across records."""
    from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

    from distillation.answers.reserved_words import find_reserved_words

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    class Text(Strict):
        text: str

        @field_validator("text")
        @classmethod
        def holds_no_reserved_word(cls, text: str) -> str:
            if find_reserved_words(text):
                raise ValueError("reserved word")
            return text

    class Location(Strict):
        uri: str = Field(pattern=re.compile(r"^s3://[a-z0-9.-]{3,63}/[A-Za-z0-9/_.-]+$"))
        bucketOwner: str | None = Field(default=None, pattern=r"^[0-9]{12}$")  # noqa: N815 - Bedrock's name

    source = create_model("Source", __base__=Strict, s3Location=(Location, ...))
    image = create_model(
        "Image", __base__=Strict, format=(Literal["jpeg", "png", "gif", "webp"], ...), source=(source, ...)
    )
    picture = create_model("Picture", __base__=Strict, image=(image, ...))
    message = create_model(
        "Message",
        __base__=Strict,
        role=(Literal["user", "assistant"], ...),
        content=(list[Text | picture], Field(min_length=1)),  # pyright: ignore[reportInvalidTypeForm] - made above
    )

    class Record(Strict):
        schemaVersion: Literal["bedrock-conversation-2024"]  # noqa: N815 - Bedrock's name
        system: list[Text] = Field(default=[])
        messages: list[message] = Field(min_length=2)  # pyright: ignore[reportInvalidTypeForm] - made above

        @model_validator(mode="after")
        def takes_turns(self) -> Record:
            roles = [one.role for one in self.messages]
            if roles != ["user", "assistant"] * (len(roles) // 2):
                raise ValueError("roles alternate")
            return self

    Record.model_rebuild(_types_namespace={"message": message, "Text": Text, "Literal": Literal, "Record": Record})
    return Record


def _write(folder: Path, count: int, rounds: int) -> None:
    from distillation.dataset.examples import write_dataset

    write_dataset(_run(), [count], _bucket(folder))


def _validate(folder: Path, count: int, rounds: int) -> None:
    from distillation.dataset.dataset import Dataset
    from distillation.models.catalog import NOVA_1

    dataset = Dataset(NOVA_1, "data")
    assert not list(dataset.problems(_bucket(folder).lines(f"runs/holiday-1/dataset/train-{count}.jsonl")))
    assert dataset.records["train"] == count


def _pydantic_alone(folder: Path, count: int, rounds: int) -> None:
    _pydantic(_file(folder, count))


def _store_labels(folder: Path, count: int, rounds: int) -> None:
    """Put what WriteDataset reads into a folder: the training set, and parts of labels of 100 images each."""
    drawn = random.Random(1)
    words = ["".join(drawn.choices("abdegiklmnoprtu", k=7)) for _ in range(2000)]
    images = [f"{drawn.getrandbits(256):064x}" for _ in range(count)]
    bucket = _bucket(folder)
    bucket.write_lines("runs/holiday-1/splits/train.jsonl", ({"image": image} for image in images))
    bucket.write_lines("runs/holiday-1/splits/validation.jsonl", [])
    for start in range(0, count, 100):
        lines = (
            {"image": image, "answerer": "teacher", "status": "ok", "text": ", ".join(drawn.sample(words, 20))}
            for image in images[start : start + 100]
        )
        bucket.write_lines(f"work/holiday-1/label/{start:06}.jsonl", lines)


def _run() -> Any:
    from distillation.records import Prompt
    from tests.support.builders import any_run

    return any_run().model_copy(update={"prompt": Prompt(system=SYSTEM, user=USER)})


def _bucket(folder: Path) -> Any:
    from distillation.storage import Bucket

    return Bucket(FolderS3(folder), "data")  # type: ignore[arg-type] - only the calls below are made


class FolderS3:
    """What ``Objects`` calls of an S3 client, with a file for each object, so that no object is in memory."""

    class exceptions:  # noqa: N801 - boto3's name
        NoSuchKey = FileNotFoundError

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"Body": (self._folder / Key).open("rb")}

    def put_object(self, *, Key: str, Body: Any, **_: Any) -> None:  # noqa: N803
        path = self._folder / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while chunk := Body.read(1 << 16):
                file.write(chunk)

    def get_paginator(self, _: str) -> FolderS3:
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        found = sorted(str(path.relative_to(self._folder)) for path in (self._folder / Prefix).rglob("*.jsonl"))
        yield {"Contents": [{"Key": key} for key in found]}


def _seconds(way: Callable[[Path], None], file: Path) -> float:
    started = time.process_time()
    way(file)
    return time.process_time() - started


def _peak_mb(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return round(used.ru_maxrss / 1024, 1)


def _say(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


ALONE: dict[str, Callable[[Path, int, int], None]] = {
    "labels": _store_labels,
    "write": _write,
    "validate": _validate,
    "pydantic": _pydantic_alone,
    "time": _time,
}

if __name__ == "__main__":
    main()
