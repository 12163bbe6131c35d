"""Validate a dataset: check every line, then the rules across records.

The pipeline, ``distill validate`` and the local Bedrock endpoint use this validator. ``rules.py`` lists all rules.
Memory hardly grows with the dataset: only two hashes of each record are kept, of its question and of its answer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from distillation import keys
from distillation.dataset import label_quality
from distillation.dataset.hashes import hashed_lines, write_hashes
from distillation.dataset.label_quality import LabelForm
from distillation.dataset.other_formats import file_form
from distillation.dataset.record_reader import MAXIMUM_LINE_BYTES, scan_line
from distillation.dataset.record_scan import Finding, RecordPath, RecordScan
from distillation.dataset.rules import File, Problem
from distillation.errors import LABELS_ARE_REUSED, DatasetRejected, ObjectDamaged, excerpt
from distillation.events import ValidationResult
from distillation.models import catalog
from distillation.models.model import Family
from distillation.records import Run
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from hashlib import _Hash

_COMMON_SHARE = 0.8
"""Share of labels (0-1) that must be lists, or JSON objects, before labels of another form are reported."""
_PLURALS: Mapping[LabelForm, str] = {"list": "lists", "object": "JSON objects"}
_MAXIMUM_SHOWN_ERRORS = 5
_FIELD_OF_MISSING = {
    "schema_version_missing": "schemaVersion",
    "bucket_owner_missing": "messages.*.content.*.source.s3Location.bucketOwner",
    "system_missing": "system",
}


class Position(NamedTuple):
    """A line of one of the files."""

    line: int
    """Line number, from 1."""
    file: File

    def __str__(self) -> str:
        return f"line {self.line}" if self.file == "train" else f"{self.file} line {self.line}"


class DatasetValidator:
    """Validates one dataset and reads each file once, line by line."""

    def __init__(self, family: Family, bucket: str | None = None) -> None:
        """Validate for models of ``family``, with all media in ``bucket``.

        Without ``bucket``, all media must be in the bucket of the first medium.
        """
        self.records: dict[File, int] = {"train": 0, "validation": 0}
        """Number of records read so far, by file."""
        self._family = family
        self._bucket = bucket
        self._answers: dict[int, tuple[int, int, File]] = {}
        """Hash, line and file of a question's first answer, keyed by the hash of the question."""
        self._first_of_kind: dict[str, Position] = {}
        """First record with each kind of content: text, image, video, document."""
        self._missing: Counter[str] = Counter()
        """Number of omitted optional fields, keyed by rule."""
        self._first_missing: dict[str, Position] = {}
        self._tolerated: Counter[tuple[str, RecordPath]] = Counter()
        """Number of records with a finding that AWS lets pass, keyed by rule and object."""
        self._first_tolerated: dict[tuple[str, RecordPath], tuple[Finding, Position]] = {}
        self._maximum_exceptions = round((1 - _COMMON_SHARE) * family.maximum_records)
        self._foreign_files = False
        """Whether a file is not JSON Lines, so that its records are not counted."""
        self._labels = 0
        self._forms: Counter[LabelForm] = Counter()
        """Number of labels without a problem, by form."""
        self._prose_labels: list[Position] = []
        self._labels_without_object: list[Position] = []
        """Labels that are not JSON objects, at most ``_maximum_exceptions``: with more of them no warning is due."""

    def problems(self, train: Iterable[bytes], validation: Iterable[bytes] | None = None) -> Iterator[Problem]:
        """Yield errors and warnings in the order of the lines, then those of the dataset as a whole.

        ``validation`` is None if there is no validation file.
        """
        yield from self._line_problems(train, "train")
        if validation is not None:
            yield from self._line_problems(validation, "validation")
            if not self._family.validation_file:
                description = f"{self._family.name} does not support a validation file"
                yield Problem("validation_file", 0, "validation", description)
        if not self._foreign_files:
            yield from self._count_problems()
        if len(self._first_of_kind) > 1:
            kinds = "; ".join(f"{kind} first on {position}" for kind, position in sorted(self._first_of_kind.items()))
            yield Problem("modality", 0, "messages", f"mixes kinds of content: {kinds}")
        for rule, count in self._missing.items():
            yield from self._missing_problems(rule, count)
        for key, count in self._tolerated.items():
            finding, position = self._first_tolerated[key]
            description = f"{finding.description}; in {count} of {sum(self.records.values())} records, first here"
            yield Problem(finding.rule, position.line, finding.field, description, position.file)
        yield from self._form_problems("prose_label", "list", "is prose", self._prose_labels)
        yield from self._form_problems("object_label", "object", "is not a JSON object", self._labels_without_object)

    def _form_problems(self, rule: str, common: LabelForm, fault: str, labels: list[Position]) -> Iterator[Problem]:
        """Yield the labels of another form if most labels of the dataset have one."""
        if self._forms[common] >= _COMMON_SHARE * self._labels:
            description = f"{fault}, but {self._forms[common]} of {self._labels} answers are {_PLURALS[common]}"
            for position in labels:
                yield Problem(rule, position.line, "messages", description, position.file)

    def _line_problems(self, lines: Iterable[bytes], file: File) -> Iterator[Problem]:
        for number, line in enumerate(lines, start=1):
            if number == 1 and (form := file_form(line)):
                self._foreign_files = True
                yield Problem("file_form", 1, "file", form, file)
                return
            if len(line) >= MAXIMUM_LINE_BYTES:
                self.records[file] += 1
                description = f"the line has {MAXIMUM_LINE_BYTES:,} bytes or more, which no valid record has"
                yield Problem("line_length", number, "line", description, file)
                continue
            scan = scan_line(line, self._family)
            if scan.content:
                self._compare(scan, number, file)
            self.records[file] += 1
            for rule, field, description in scan.findings:
                yield Problem(rule, number, field, description, file)
                self.records[file] -= rule == "blank_line"

    def _compare(self, scan: RecordScan, line: int, file: File) -> None:
        """Compare a record with the records before it; add findings to its scan."""
        for path, bucket in scan.sources:
            if bucket != self._bucket:
                self._check_bucket(path, bucket, scan)
        for kind in scan.media or ("text",):
            if kind not in self._first_of_kind:
                self._first_of_kind[kind] = Position(line, file)
        for rule in dict.fromkeys(scan.missing):
            if rule not in self._missing:
                self._first_missing[rule] = Position(line, file)
            self._missing[rule] += 1
        for key, finding in scan.tolerated.items():
            self._first_tolerated.setdefault(key, (finding, Position(line, file)))
            self._tolerated[key] += 1
        if 0 < scan.answer_start < len(scan.content):
            self._check_label(scan, line, file)

    def _check_bucket(self, path: RecordPath, bucket: str, scan: RecordScan) -> None:
        if self._bucket is None:
            self._bucket = bucket
            return
        description = f"must be in the dataset's bucket {self._bucket!r} (got {excerpt(bucket)!r})"
        scan.report_at(path, "bucket", description, "source", "s3Location", "uri")

    def _check_label(self, scan: RecordScan, line: int, file: File) -> None:
        label = "\n".join(scan.content[scan.answer_start :])
        form = label_quality.label_form(label)
        self._labels += 1
        question = scan.content[: scan.answer_start]
        if problem := label_quality.label_problem(label, form, question):
            rule, description = problem
            scan.report(rule, f"the answer {description}")
        else:
            self._forms[form] += 1
            if form == "prose":
                self._prose_labels.append(Position(line, file))
            if form != "object" and len(self._labels_without_object) < self._maximum_exceptions:
                self._labels_without_object.append(Position(line, file))
        answer = (hash(label), line, file)
        first_answer = self._answers.setdefault(hash(tuple(question)), answer)
        if first_answer is not answer:
            self._report_duplicate(scan, first_answer, is_same=first_answer[0] == answer[0])

    def _report_duplicate(self, scan: RecordScan, first_answer: tuple[int, int, File], is_same: bool) -> None:
        position = Position(*first_answer[1:])
        if is_same:
            scan.report("duplicate_record", f"same question and answer as on {position}")
        else:
            scan.report("contradicting_labels", f"same question as on {position}, but another answer")

    def _count_problems(self) -> Iterator[Problem]:
        family, train, total = self._family, self.records["train"], sum(self.records.values())
        if train < family.minimum_records:
            description = f"{train} training records, but {family.name} requires at least {family.minimum_records}"
            yield Problem("too_few_records", 0, "records", description)
        if total > family.maximum_records:
            description = f"{total} records with validation, but {family.name} allows at most {family.maximum_records}"
            yield Problem("too_many_records", 0, "records", description)

    def _missing_problems(self, rule: str, count: int) -> Iterator[Problem]:
        total = sum(self.records.values())
        # A dataset in which no record has a system prompt is consistent.
        if rule != "system_missing" or count < total:
            first = self._first_missing[rule]
            description = f"missing in {count} of {total} records, first here"
            yield Problem(rule, first.line, _FIELD_OF_MISSING[rule], description, first.file)


def validate_files(run: Run, records: Mapping[int, int], validation: int, data: Bucket) -> ValidationResult:
    """Validate each size's dataset with the validation file, and store the hashes of the validated files.

    ``records`` has the number of records in each training file, keyed by size. ``validation`` is the number of records
    in the validation file, 0 without one. Raises ``DatasetRejected`` if Bedrock would reject a dataset, and
    ``ObjectDamaged`` if a file does not have the records that WriteDataset wrote.
    """
    family = catalog.get_model(run.student).family
    validation_key = next(data.keys(keys.dataset_key(run.name, "validation")), None)
    digests: dict[str, _Hash] = {}

    def lines(key: str) -> Iterator[bytes]:
        digests[key] = hashlib.sha256()
        return hashed_lines(data.iter_lines(key), digests[key])

    for size, written in records.items():
        key = keys.dataset_key(run.name, f"train-{size}")
        validator = DatasetValidator(family, data.name)
        validation_lines = lines(validation_key) if validation_key else None
        warnings = reject_invalid(key, validator.problems(lines(key), validation_lines))
        _check_record_count(key, validator.records["train"], written, data)
        _check_record_count(keys.dataset_key(run.name, "validation"), validator.records["validation"], validation, data)
        logger.info("file valid", run=run.name, key=key, records=validator.records, warnings=warnings)
    write_hashes(run, {key: digest.hexdigest() for key, digest in digests.items()}, data)
    return ValidationResult(files=len(records), records=max(records.values()))


def _check_record_count(key: str, records: int, written: int, data: Bucket) -> None:
    if records != written:
        raise ObjectDamaged(
            f"s3://{data.name}/{key} has {records} records, but WriteDataset wrote {written}: it was changed, cut off "
            f"or deleted. Start the run again. {LABELS_ARE_REUSED}"
        )


def reject_invalid(name: str, problems: Iterable[Problem]) -> dict[str, int]:
    """Raise ``DatasetRejected`` with the first errors, if there are any; return the number of warnings by rule."""
    shown: list[str] = []
    errors = 0
    warnings: dict[str, int] = {}
    for problem in problems:
        if problem.severity == "warning":
            warnings[problem.rule] = warnings.get(problem.rule, 0) + 1
            continue
        errors += 1
        if errors <= _MAXIMUM_SHOWN_ERRORS:
            shown.append(str(problem))
    if errors:
        more = f" And {errors - _MAXIMUM_SHOWN_ERRORS} more." if errors > _MAXIMUM_SHOWN_ERRORS else ""
        raise DatasetRejected(f"{name}: {' '.join(shown)}{more}")
    return warnings
