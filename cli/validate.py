"""``distill validate``: tell what Bedrock would refuse in a dataset, and what harms learning, before a job is paid.

Nothing heavy is loaded for a local file: the whole process stays small (benchmarks/validate.py).
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.console import Refused, say
from distillation.dataset.dataset import Dataset
from distillation.dataset.rules import File, Problem
from distillation.models import catalog
from distillation.models.catalog import Family

if TYPE_CHECKING:
    from distillation.storage import Bucket

SUCCESS = "Validation successful, all samples passed"
_NAME = re.compile(r"[A-Za-z0-9/_.-]+\.jsonl")
_LONGEST_LINE = 4 * 1024 * 1024


@dataclass(frozen=True)
class Source:
    """A file of a dataset, here or in S3."""

    text: str

    @property
    def bucket(self) -> str | None:
        """Bucket of a file in S3; None for one here."""
        return self.text.removeprefix("s3://").partition("/")[0] if self._in_s3 else None

    @property
    def name(self) -> str:
        """What Bedrock would see of the name: the key, or the name without folders."""
        return self.text.removeprefix("s3://").partition("/")[2] if self._in_s3 else Path(self.text).name

    def lines(self) -> Iterator[bytes]:
        """Yield the lines, holding one at a time; raises ``Refused`` or ``ObjectMissing``."""
        if self.bucket is not None:
            yield from _objects(self.bucket).iter_lines(self.name)
            return
        try:
            with Path(self.text).open("rb") as file:
                while line := file.readline(_LONGEST_LINE):
                    yield line
                    while len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                        line = file.readline(_LONGEST_LINE)
        except OSError as error:
            raise Refused(f"{self.text} cannot be read: {error.strerror}; name a file or s3://BUCKET/KEY") from None

    @property
    def _in_s3(self) -> bool:
        return self.text.startswith("s3://")


def validate_dataset(
    train: str, model: str, validation: str | None, *, as_json: bool, strict: bool, images: bool
) -> bool:
    """Print every problem of a dataset; return whether it may be trained on. Raises ``Refused``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Half a character in a field's name must not end the listing.
        sys.stdout.reconfigure(errors="backslashreplace")
    family = _family(model)
    files: dict[File, Source] = {"train": Source(train)}
    if validation is not None:
        files["validation"] = Source(validation)
    dataset = Dataset(family, files["train"].bucket)
    opened: dict[File, Iterator[bytes]] = {file: _opened(source) for file, source in files.items()}
    found = _problems(dataset, files, opened, family, images)
    counts = _print_json(found, dataset, strict) if as_json else _print_lines(found, files)
    valid = _is_valid(counts, strict)
    if not as_json:
        records = sum(dataset.records.values())
        say(SUCCESS if valid else f"{counts['error']} errors, {counts['warning']} warnings in {records} records")
    return valid


def _family(model: str) -> Family:
    if model in catalog.DATASET_MODELS:
        return catalog.DATASET_MODELS[model]
    if model in catalog.MODELS and catalog.MODELS[model].training_id:
        return catalog.MODELS[model].family
    raise Refused(f"unknown model {model!r}; known: {', '.join(catalog.DATASET_MODELS)}, or a student's model id")


def _opened(source: Source) -> Iterator[bytes]:
    """Return the lines, the first one read: what cannot be read is refused before anything is printed."""
    lines = source.lines()
    return chain(list(islice(lines, 1)), lines)


def _problems(
    dataset: Dataset, files: dict[File, Source], lines: dict[File, Iterator[bytes]], family: Family, images: bool
) -> Iterator[Problem]:
    for file, source in files.items():
        if not _NAME.fullmatch(source.name):
            yield Problem("file_name", 0, "file", f"the name {source.name!r} is refused", file)
    yield from dataset.problems(lines["train"], lines.get("validation"))
    if images:
        import boto3

        from distillation.dataset.media import image_problems

        client = boto3.client("s3")
        for file, source in files.items():
            yield from image_problems(source.lines(), file, family, client)


def _print_lines(found: Iterator[Problem], files: dict[File, Source]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for problem in found:
        counts[problem.severity] += 1
        sys.stdout.write(f"{problem.severity}: {problem}\n")
    return counts


def _print_json(found: Iterator[Problem], dataset: Dataset, strict: bool) -> Counter[str]:
    """Print one JSON object, problem by problem, so that none is held."""
    counts: Counter[str] = Counter()
    sys.stdout.write('{"problems": [')
    for problem in found:
        sys.stdout.write(("," if counts else "") + "\n " + json.dumps(_as_json(problem)))
        counts[problem.severity] += 1
    facts = {"errors": counts["error"], "warnings": counts["warning"], "records": dataset.records}
    say(f"],\n{json.dumps(facts | {'valid': _is_valid(counts, strict)})[1:]}")
    return counts


def _as_json(problem: Problem) -> dict[str, Any]:
    return {
        "severity": problem.severity,
        "rule": problem.rule,
        "file": problem.file,
        "line": problem.line or None,
        "field": problem.field,
        "message": problem.fact,
        "remedy": problem.remedy,
    }


def _is_valid(counts: Counter[str], strict: bool) -> bool:
    return not counts["error"] and not (strict and counts["warning"])


def _objects(bucket: str) -> Bucket:
    import boto3

    from distillation.storage import Bucket

    return Bucket(boto3.client("s3"), bucket)
