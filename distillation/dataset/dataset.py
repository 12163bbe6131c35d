"""The rules that span records: counts, one bucket, one kind of media, answers that contradict each other.

Of every record a hash of its question and one of its answer are kept, and nothing else, so that memory hardly grows.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from distillation.dataset import label_quality
from distillation.dataset.likeness import Likenesses
from distillation.dataset.record import check_record
from distillation.dataset.record_scan import RecordScan, Source
from distillation.dataset.rules import File, Problem
from distillation.models.catalog import Family

_LISTS_SHARE = 0.8
"""Share of lists among the labels from which prose is the exception."""
_WHITESPACE = " \t\r\n"
_FIELD_OF_MISSING = {
    "schema_version_missing": "schemaVersion",
    "bucket_owner_missing": "messages.*.content.*.source.s3Location.bucketOwner",
    "system_missing": "system",
}


class Spot(NamedTuple):
    """A line of one of the files."""

    line: int
    file: File

    def __str__(self) -> str:
        return f"line {self.line}" if self.file == "train" else f"{self.file} line {self.line}"


class Dataset:
    """A dataset that is read once, one line held at a time."""

    def __init__(self, family: Family, bucket: str | None = None) -> None:
        """``bucket`` is where all media must lie; None where any one bucket will do."""
        self.records = {"train": 0, "validation": 0}
        self._family = family
        self._bucket = bucket
        self._likenesses = Likenesses()
        self._answers: dict[int, tuple[int, Spot]] = {}
        """By the hash of a question, that of its first answer, and where that is."""
        self._first_of_kind: dict[str, Spot] = {}
        self._missing: dict[str, list[Spot]] = defaultdict(list)
        self._labels = 0
        self._lists = 0
        self._prose: list[Spot] = []

    def problems(self, train: Iterable[bytes], validation: Iterable[bytes] | None = None) -> Iterator[Problem]:
        """Yield errors and warnings in the order of the lines, then those of the dataset as a whole.

        ``validation`` is None without that file.
        """
        yield from self._check(train, "train")
        if validation is not None:
            yield from self._check(validation, "validation")
            if not self._family.validation_file:
                yield Problem("validation_file", 0, "validation", f"{self._family.name} takes no validation file")
        yield from self._count_problems()
        if len(self._first_of_kind) > 1:
            kinds = "; ".join(f"{kind} from {spot}" for kind, spot in sorted(self._first_of_kind.items()))
            yield Problem("modality", 0, "messages", f"kinds of content are mixed: {kinds}")
        for rule, spots in self._missing.items():
            yield from self._missing_problems(rule, spots)
        if self._prose and self._lists >= _LISTS_SHARE * self._labels:
            for spot in self._prose:
                fact = f"is prose, where {self._lists} of {self._labels} answers are lists"
                yield Problem("prose_label", spot.line, "messages", fact, spot.file)

    def _check(self, lines: Iterable[bytes], file: File) -> Iterator[Problem]:
        for number, line in enumerate(lines, start=1):
            seen = self._read(line)
            if seen.content:
                self._compare(seen, Spot(number, file))
            self.records[file] += 1
            for rule, field, fact in seen.findings:
                yield Problem(rule, number, field, fact, file)
                self.records[file] -= rule == "blank_line"

    def _read(self, line: bytes) -> RecordScan:
        """Check one line by itself."""
        try:
            text = line.decode().strip(_WHITESPACE)
            return self._likenesses.read(text) or self._parse(text)
        except UnicodeDecodeError as error:
            return self._unread("encoding", f"not UTF-8 (byte {error.start + 1})")
        except RecursionError:
            return self._unread("json_syntax", "nested too deeply")
        except ValueError as error:
            if line.startswith(BOM_UTF8):
                return self._unread("encoding", "starts with a byte order mark")
            place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
            return self._unread("json_syntax", f"not JSON: {getattr(error, 'msg', error)}{place}")

    def _parse(self, text: str) -> RecordScan:
        if not text:
            return self._unread("blank_line", "is blank")
        record, end = _DECODER.raw_decode(text)
        if end < len(text):
            return self._unread("json_syntax", f"holds more than one JSON value (the first has {end:,} characters)")
        seen = check_record(record, self._family)
        self._likenesses.learn(text, seen)
        return seen

    def _unread(self, rule: str, fact: str) -> RecordScan:
        seen = RecordScan(self._family)
        seen.report(rule, fact)
        return seen

    def _compare(self, seen: RecordScan, spot: Spot) -> None:
        """Compare a record with those before it."""
        for source in seen.sources.values():
            if source.bucket != self._bucket:
                self._check_bucket(source, seen)
        for kind in seen.media or ("text",):
            if kind not in self._first_of_kind:
                self._first_of_kind[kind] = spot
        for rule in seen.missing:
            self._missing[rule].append(spot)
        if 0 < seen.question_length < len(seen.content):
            self._check_label(seen, spot)

    def _check_bucket(self, source: Source, seen: RecordScan) -> None:
        if self._bucket is None:
            self._bucket = source.bucket
            return
        fact = f"must be in the dataset's bucket {self._bucket!r} (got {source.bucket!r})"
        seen.report_at(source.place, "bucket", fact, "source", "s3Location", "uri")

    def _check_label(self, seen: RecordScan, spot: Spot) -> None:
        label = "\n".join(seen.content[seen.question_length :])
        form = label_quality.label_form(label)
        self._labels += 1
        if found := label_quality.label_problem(label, form):
            seen.report(found[0], f"the answer {found[1]}")
        elif form == "list":
            self._lists += 1
        elif form == "prose":
            self._prose.append(spot)
        question, answer = hash(tuple(seen.content[: seen.question_length])), hash(label)
        first, first_spot = self._answers.setdefault(question, (answer, spot))
        if first_spot is not spot:
            same = first == answer
            fact = f"the same question{' and answer' if same else ', another answer'} as in {first_spot}"
            seen.report("duplicate_record" if same else "contradicting_labels", fact)

    def _count_problems(self) -> Iterator[Problem]:
        family, train, total = self._family, self.records["train"], sum(self.records.values())
        if train < family.minimum_records:
            fact = f"{train} training records, {family.name} takes at least {family.minimum_records}"
            yield Problem("too_few_records", 0, "records", fact)
        if total > family.maximum_records:
            fact = f"{total} records with validation, {family.name} takes at most {family.maximum_records}"
            yield Problem("too_many_records", 0, "records", fact)

    def _missing_problems(self, rule: str, spots: list[Spot]) -> Iterator[Problem]:
        total = sum(self.records.values())
        # A dataset without any system prompt is as good as one with.
        if rule != "system_missing" or len(spots) < total:
            fact = f"missing in {len(spots)} of {total} records, first here"
            yield Problem(rule, spots[0].line, _FIELD_OF_MISSING[rule], fact, spots[0].file)


def _not_a_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_not_a_number)
