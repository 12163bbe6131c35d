"""Time and memory of validating and writing a dataset, compared with ``json.loads`` and a pydantic model.

    python -m benchmarks.validate [--records 1000,20000] [--rounds 9]

Prints one JSON line per dataset. ``pipeline`` has records as WriteDataset writes them, 1.6 kB each. ``many forms`` has
records that differ in optional fields, order of fields, number of images, rounds, prompts and kind of answer.

Time is processor time in one process, which alternates between ``json.loads`` of every line, the validator and a
pydantic model of the schema. The fastest round of each counts, as other processes only slow a round down.
Memory is the peak of a whole process: ``distill validate``, the pydantic model, and the work of WriteDataset and
ValidateDataset with a folder in place of the bucket.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

SYSTEM = "You index photographs for an archive and answer with keywords only. " * 15
USER = "Write 15 to 25 keywords: objects, place, action and mood, visual character. "


PIPELINE = "pipeline"
MANY_FORMS = "many forms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", default="1000,20000")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--step", nargs=3, metavar=("NAME", "FOLDER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder, file = options.step
        STEPS[name](Step(Path(folder), Path(file), int(options.records), options.rounds))
        return
    for count in map(int, options.records.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for row in _measure(Path(folder), count, options.rounds):
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()


class Step(NamedTuple):
    """Arguments of a step, which runs in a process of its own."""

    folder: Path
    """Folder in place of the Data bucket."""
    file: Path
    """Dataset file."""
    records: int
    """Number of records."""
    rounds: int
    """Number of measurements of each time."""


def _measure(folder: Path, count: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield one row per dataset.

    Every step has its own process. This process stays small, because the peak of a child includes its parent's size
    at the fork.
    """

    def peak(step: str, file: Path) -> float:
        options = ["--records", str(count), "--rounds", str(rounds), "--step", step, str(folder), str(file)]
        return _peak_mb([sys.executable, "-m", __spec__.name, *options])

    def row(dataset: str, file: Path, **peaks: float) -> dict[str, Any]:
        command = [sys.executable, "-m", "cli.main", "validate", "-i", str(file), "-m", "lite"]
        peaks |= {"pydantic": peak("pydantic", file), "distill validate": _peak_mb(command)}
        peak("time", file)
        times = json.loads(_times_file(folder).read_text())
        megabytes = round(file.stat().st_size / 1e6, 1)
        return {"dataset": dataset, "records": count, "megabytes": megabytes, **times, "peak MB": peaks}

    file = folder / _dataset_key(count)
    peak("labels", file)
    yield row(PIPELINE, file, WriteDataset=peak("write", file), ValidateDataset=peak("validate", file))
    file = folder / "many-forms.jsonl"
    peak("forms", file)
    yield row(MANY_FORMS, file)


def _time(step: Step) -> None:
    readers = {"json.loads": _load_json, "validator": _validate_lines, "pydantic": _validate_with_pydantic}
    times = [{name: _seconds(reader, step.file) for name, reader in readers.items()} for _ in range(step.rounds)]
    fastest = {name: min(seconds[name] for seconds in times) for name in readers}
    result = {
        "seconds": {name: round(seconds, 3) for name, seconds in fastest.items()},
        "times json.loads": {name: round(seconds / fastest["json.loads"], 2) for name, seconds in fastest.items()},
    }
    _times_file(step.folder).write_text(json.dumps(result))


def _times_file(folder: Path) -> Path:
    return folder / "times.json"


def _dataset_key(count: int) -> str:
    return f"runs/holiday-1/dataset/train-{count}.jsonl"


def _load_json(file: Path) -> None:
    with file.open("rb") as lines:
        for line in lines:
            json.loads(line)


def _validate_lines(file: Path) -> None:
    from distillation.dataset.validator import DatasetValidator
    from distillation.models.catalog import get_family

    with file.open("rb") as lines:
        problems = list(DatasetValidator(get_family("nova-v1"), "data").problems(lines))
    errors = [problem for problem in problems if problem.severity == "error"]
    assert not errors, errors[0]


def _validate_with_pydantic(file: Path) -> None:
    record = _pydantic_record()
    with file.open("rb") as lines:
        for line in lines:
            record.model_validate_json(line)


def _pydantic_record() -> Any:
    """Return a pydantic model of one record: fields, roles, formats, URIs and reserved words."""
    from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

    from distillation.answers.reserved_words import find_reserved_words

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    class Text(Strict):
        text: str

        @field_validator("text")
        @classmethod
        def has_no_reserved_word(cls, text: str) -> str:
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
        schemaVersion: Literal["bedrock-conversation-2024"] | None = None  # noqa: N815 - Bedrock's name
        system: list[Text] = Field(default=[])
        messages: list[message] = Field(min_length=2)  # pyright: ignore[reportInvalidTypeForm] - made above

        @model_validator(mode="after")
        def has_alternating_roles(self) -> Record:
            roles = [message.role for message in self.messages]
            if roles != ["user", "assistant"] * (len(roles) // 2):
                raise ValueError("roles alternate")
            return self

    Record.model_rebuild(_types_namespace={"message": message, "Text": Text, "Literal": Literal, "Record": Record})
    return Record


def _write(step: Step) -> None:
    from distillation.dataset.writer import write_dataset

    write_dataset(_run(), 0, [step.records], _bucket(step.folder))


def _validate(step: Step) -> None:
    from distillation.dataset.validator import DatasetValidator
    from distillation.models.catalog import get_family

    validator = DatasetValidator(get_family("nova-v1"), "data")
    assert not list(validator.problems(_bucket(step.folder).iter_lines(_dataset_key(step.records))))
    assert validator.records["train"] == step.records


def _pydantic(step: Step) -> None:
    _validate_with_pydantic(step.file)


def _store_labels(step: Step) -> None:
    """Write the input of WriteDataset: listing, inventory, the sets, rounds, and label parts of 100 images each."""
    from distillation import keys
    from distillation.records import SplitLine
    from tests.support.builders import write_sets

    generator = random.Random(1)
    words = _words(generator)
    images = [f"{generator.getrandbits(256):064x}" for _ in range(step.records)]
    photo = {image: f"holiday/{number:06}.jpg" for number, image in enumerate(images)}
    facts = {"width": 900, "height": 600, "set": "train"}
    used = {"status": "ok", "bytes": 111_000, "perceptual_hash": "00f1e2d3c4b5a697", "labelled_by": "teacher"}
    bucket = _bucket(step.folder)
    run = _run()
    listing = ({"photo": photo[image]} for image in images)
    inventory = ({"photo": photo[image], "image": image, "group": image} | used | facts for image in images)
    train = [SplitLine(image=image, group=image, photo=photo[image], width=900, height=600) for image in images]
    bucket.write_lines(keys.listing_key(run.name), listing)
    bucket.write_lines(keys.inventory_key(run.name), inventory)
    write_sets(run, {"train": train, "validation": [], "test": []}, bucket)
    for start in range(0, step.records, 100):
        lines = (
            {"image": image, "answerer": "teacher", "status": "ok", "text": ", ".join(generator.sample(words, 20))}
            for image in images[start : start + 100]
        )
        bucket.write_lines(f"{keys.parts_prefix(run.name, 'label')}{start:06}.jsonl", lines)


def _store_forms(step: Step) -> None:
    """Write a valid dataset whose records have many forms."""
    generator = random.Random(1)
    words = _words(generator)
    with step.file.open("w") as file:
        for _ in range(step.records):
            separators = generator.choice([(",", ":"), (", ", ": ")])
            file.write(json.dumps(_any_form(generator, words), separators=separators) + "\n")


def _any_form(generator: random.Random, words: list[str]) -> dict[str, Any]:
    messages = []
    for number in range(generator.choice([1, 1, 2])):
        images = [_image(generator) for _ in range(generator.choice([1, 1, 2, 3]))] if number == 0 else []
        question = [*images, {"text": f"{USER[: generator.randint(20, 70)]} {generator.random()}"}]
        generator.shuffle(question)
        answer = [{"text": _answer(generator, words)}]
        messages += [_shuffled(generator, role="user", content=question)]
        messages += [_shuffled(generator, role="assistant", content=answer)]
    record: dict[str, Any] = {"messages": messages}
    if generator.random() < 0.7:
        record["schemaVersion"] = "bedrock-conversation-2024"
    if generator.random() < 0.7:
        record["system"] = [{"text": SYSTEM[: generator.randint(20, len(SYSTEM))].strip()}]
    return _shuffled(generator, **record)


def _answer(generator: random.Random, words: list[str]) -> str:
    chosen = generator.sample(words, generator.randint(5, 20))
    return generator.choice(
        [", ".join(chosen), "\n".join(chosen), json.dumps({"keywords": chosen}), f"Été {chosen[0]}"]
    )


def _image(generator: random.Random) -> dict[str, Any]:
    location = {"uri": f"s3://data/images/900/{generator.getrandbits(256):064x}.jpg"}
    if generator.random() < 0.7:
        location["bucketOwner"] = "111122223333"
    return {"image": _shuffled(generator, format="jpeg", source={"s3Location": location})}


def _shuffled(generator: random.Random, **fields: Any) -> dict[str, Any]:
    items = list(fields.items())
    generator.shuffle(items)
    return dict(items)


def _words(generator: random.Random) -> list[str]:
    return ["".join(generator.choices("abdegiklmnoprtu", k=7)) for _ in range(2000)]


def _run() -> Any:
    from distillation.records import Prompt
    from tests.support.builders import any_run

    prompt = Prompt(system=SYSTEM, user=USER)
    return any_run(baseline=False, grow=False).model_copy(update={"prompt": prompt, "student_prompt": prompt})


def _bucket(folder: Path) -> Any:
    from distillation.storage import Bucket

    return Bucket(FolderS3(folder), "data")  # type: ignore[arg-type] - only the calls below are made


class FolderS3:
    """The calls of ``Bucket`` to an S3 client, with one file per object, so that no object is in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        from botocore.exceptions import ClientError

        try:
            return {"Body": (self._folder / Key).open("rb")}
        except FileNotFoundError:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject") from None

    def put_object(self, *, Key: str, Body: Any, **_: Any) -> None:  # noqa: N803
        path = self._folder / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            if isinstance(Body, bytes):
                file.write(Body)
                return
            while chunk := Body.read(1 << 16):
                file.write(chunk)

    def get_paginator(self, _: str) -> FolderS3:
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        keys = sorted(str(path.relative_to(self._folder)) for path in (self._folder / Prefix).rglob("*.jsonl"))
        yield {"Contents": [{"Key": key} for key in keys]}


def _seconds(reader: Callable[[Path], None], file: Path) -> float:
    started = time.process_time()
    reader(file)
    return time.process_time() - started


def _peak_mb(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return round(usage.ru_maxrss / 1024, 1)


STEPS: dict[str, Callable[[Step], None]] = {
    "labels": _store_labels,
    "forms": _store_forms,
    "write": _write,
    "validate": _validate,
    "pydantic": _pydantic,
    "time": _time,
}

if __name__ == "__main__":
    main()
