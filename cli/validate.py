"""``distill validate``: check a dataset before paying for a job, without loading it into memory.

Errors are what Bedrock would reject; warnings are what harms training. For a local file the command imports no AWS
client, which keeps memory use small (benchmarks/validate.py).
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.console import CommandError, print_line, quantity
from distillation.dataset.record_reader import MAXIMUM_LINE_BYTES
from distillation.dataset.rules import File, Problem
from distillation.dataset.validator import DatasetValidator
from distillation.models import catalog
from distillation.models.model import Family
from distillation.plain_text import clean_line

if TYPE_CHECKING:
    from distillation.storage import Bucket

SUCCESS = "Validation successful, all samples passed"
_ACCEPTED_NAME = re.compile(r"[A-Za-z0-9/_.-]+\.jsonl")
_MAXIMUM_SHOWN_LINES = 5


@dataclass(frozen=True)
class DatasetFile:
    """A dataset file on this machine or in S3."""

    location: str
    """Path or s3:// URI."""

    @property
    def bucket(self) -> str | None:
        """Bucket of a file in S3, or None for a local file."""
        return self.location.removeprefix("s3://").partition("/")[0] if self._in_s3 else None

    @property
    def name(self) -> str:
        """S3 key, or name of a local file without its folder. Bedrock checks this name."""
        return self.location.removeprefix("s3://").partition("/")[2] if self._in_s3 else Path(self.location).name

    def lines(self) -> Iterator[bytes]:
        """Yield the lines without reading the whole file. Raises ``CommandError`` or ``ObjectMissing``.

        Longer lines of a local file are cut at ``MAXIMUM_LINE_BYTES``, which the validator names as too long.
        """
        if self.bucket is not None:
            yield from _bucket(self.bucket).iter_lines(self.name)
            return
        try:
            with Path(self.location).open("rb") as file:
                while line := file.readline(MAXIMUM_LINE_BYTES):
                    yield line
                    while len(line) == MAXIMUM_LINE_BYTES and not line.endswith(b"\n"):
                        line = file.readline(MAXIMUM_LINE_BYTES)
        except OSError as error:
            raise CommandError(
                f"{self.location} cannot be read: {error.strerror}. Name a file or an s3://BUCKET/KEY URI."
            ) from None

    @property
    def _in_s3(self) -> bool:
        return self.location.startswith("s3://")


@dataclass
class _Group:
    """Problems of one rule in one file."""

    first: Problem
    count: int = 0
    lines: list[int] = field(default_factory=list)
    """Numbers of the first lines."""

    def others(self) -> str:
        """Return how many problems the group has and on which lines; empty for one problem."""
        if self.count == 1:
            return ""
        lines = ", ".join(map(str, self.lines))
        rest = ", ..." if self.count > len(self.lines) else ""
        return f" ({self.count:,} problems of the rule {self.first.rule}, lines {lines}{rest}; --all lists each)"


def validate_dataset(
    train: str,
    model: str,
    validation: str | None,
    *,
    as_json: bool,
    strict: bool,
    images: bool,
    list_all: bool,
) -> bool:
    """Print the problems of a dataset and return whether it is valid. Raises ``CommandError`` if it cannot be read.

    Problems are grouped by rule; JSON and ``list_all`` have each one.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The name of a field may contain a lone surrogate, which cannot be encoded.
        sys.stdout.reconfigure(errors="backslashreplace")
    family = _family(model)
    files: dict[File, DatasetFile] = {"train": DatasetFile(train)}
    if validation is not None:
        files["validation"] = DatasetFile(validation)
    dataset = DatasetValidator(family, files["train"].bucket)
    opened: dict[File, Iterator[bytes]] = {file: _open_lines(source) for file, source in files.items()}
    problems = _problems(dataset, files, opened, family, images)
    counts = _print_json(problems, dataset, strict) if as_json else _print_lines(problems, list_all=list_all)
    valid = _is_valid(counts, strict)
    if not as_json:
        problems_found = f"{quantity(counts['error'], 'error')}, {quantity(counts['warning'], 'warning')}"
        records = quantity(sum(dataset.records.values()), "record")
        print_line(SUCCESS if valid else f"{problems_found} in {records}")
    return valid


def _family(model: str) -> Family:
    if model in catalog.dataset_families():
        return catalog.dataset_families()[model]
    if model in catalog.models() and catalog.models()[model].training_id:
        return catalog.models()[model].family
    raise CommandError(
        f"unknown model {model!r} (known: {', '.join(catalog.dataset_families())}). Pass a known name or a "
        "student's model id."
    )


def _open_lines(source: DatasetFile) -> Iterator[bytes]:
    """Return the lines of a file. The first line is read immediately, so that an error comes before any output."""
    lines = source.lines()
    return chain(list(islice(lines, 1)), lines)


def _problems(
    dataset: DatasetValidator,
    files: dict[File, DatasetFile],
    lines: dict[File, Iterator[bytes]],
    family: Family,
    images: bool,
) -> Iterator[Problem]:
    for file, source in files.items():
        if not _ACCEPTED_NAME.fullmatch(source.name):
            yield Problem("file_name", 0, "file", f"Bedrock does not accept the name {source.name!r}", file)
    yield from dataset.problems(lines["train"], lines.get("validation"))
    if images:
        import boto3

        from distillation.dataset.image_checks import image_problems

        client = boto3.client("s3")
        for file, source in files.items():
            yield from image_problems(source.lines(), file, family, client)


def _print_lines(problems: Iterator[Problem], *, list_all: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    groups: dict[tuple[str, File], _Group] = {}
    for problem in problems:
        counts[problem.severity] += 1
        if list_all:
            _print_problem(problem)
            continue
        group = groups.setdefault((problem.rule, problem.file), _Group(problem))
        group.count += 1
        if len(group.lines) < _MAXIMUM_SHOWN_LINES and problem.line not in group.lines:
            group.lines.append(problem.line)
    for group in groups.values():
        _print_problem(group.first, group.others())
    return counts


def _print_problem(problem: Problem, others: str = "") -> None:
    sys.stdout.write(f"{clean_line(f'{problem.severity}: {problem}{others}')}\n")


def _print_json(problems: Iterator[Problem], dataset: DatasetValidator, strict: bool) -> Counter[str]:
    """Print one JSON object. Problems are printed as they are found, which keeps memory use small."""
    counts: Counter[str] = Counter()
    sys.stdout.write('{"problems": [')
    for problem in problems:
        sys.stdout.write(("," if counts else "") + "\n " + json.dumps(_as_json(problem)))
        counts[problem.severity] += 1
    facts = {"errors": counts["error"], "warnings": counts["warning"], "records": dataset.records}
    print_line(f"],\n{json.dumps(facts | {'valid': _is_valid(counts, strict)})[1:]}")
    return counts


def _as_json(problem: Problem) -> dict[str, Any]:
    return {
        "severity": problem.severity,
        "rule": problem.rule,
        "file": problem.file,
        "line": problem.line or None,
        "field": problem.field,
        "message": problem.description,
        "remedy": problem.remedy,
    }


def _is_valid(counts: Counter[str], strict: bool) -> bool:
    return not counts["error"] and not (strict and counts["warning"])


def _bucket(bucket: str) -> Bucket:
    import boto3

    from distillation.storage import Bucket

    return Bucket(boto3.client("s3"), bucket)
