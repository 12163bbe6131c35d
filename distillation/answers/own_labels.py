"""The owner's own labels: ``labels.csv`` or ``labels.jsonl`` in the collection, checked before anything is paid for."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distillation.answers.formats import FORMATS
from distillation.errors import InvalidRequest
from distillation.inference.converse import text_rejection
from distillation.photos.files import OWN_LABELS
from distillation.records import InventoryLine, Limits, OwnLabel, Run
from distillation.storage import Bucket

MAXIMUM_BYTES = 32 * 1024 * 1024
_CHARACTERS_PER_TOKEN = 4
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
_COLUMNS = ("photo", "label")
_SHOWN = 10


@dataclass(frozen=True)
class _Row:
    """One line of the file; ``problem`` where it cannot be read."""

    line: int
    photo: str = ""
    label: str = ""
    problem: str | None = None


def read_own_labels(run: Run, photos: Bucket, inventory: Iterable[InventoryLine]) -> list[OwnLabel]:
    """Return the owner's labels of images that can be used, in the order of the file; none where there is no file.

    Raises ``InvalidRequest`` naming each line that is wrong, and what to change.
    """
    name = _name(run, photos)
    if name is None:
        return []
    rows = list(_rows(photos, f"{run.collection}{name}", name))
    if not rows:
        raise InvalidRequest(f"{name} holds no label; write a line for each photo that has one, or remove the file")
    known = {_unicode(line.photo.removeprefix(run.collection)): line for line in inventory if line.status != "ignored"}
    problems, found = _check(run, rows, known)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InvalidRequest(f"{name}: {'; '.join(problems[:_SHOWN])}{more}")
    return list(found.values())


def _name(run: Run, photos: Bucket) -> str | None:
    sizes = {item["Key"]: item["Size"] for name in OWN_LABELS for item in photos.list(f"{run.collection}{name}")}
    names = [name for name in OWN_LABELS if f"{run.collection}{name}" in sizes]
    if len(names) > 1:
        raise InvalidRequest(f"{' and '.join(names)} are both in {run.collection!r}; keep one of them")
    if not names:
        if run.request.own_labels:
            raise InvalidRequest(
                f"own_labels: neither {' nor '.join(OWN_LABELS)} is in {run.collection!r}; upload one, "
                "or leave own_labels out"
            )
        return None
    if (size := sizes[f"{run.collection}{names[0]}"]) > MAXIMUM_BYTES:
        raise InvalidRequest(f"{names[0]} has {size:,} bytes, more than {MAXIMUM_BYTES:,}; shorten the labels")
    return names[0]


def _rows(photos: Bucket, key: str, name: str) -> Iterator[_Row]:
    body = photos.read(key)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise InvalidRequest(f"{name} line {line} is not UTF-8; save the file as UTF-8 (CSV UTF-8 in Excel)") from None
    yield from (_csv_rows(text) if name.endswith(".csv") else _json_rows(text))


def _csv_rows(text: str) -> Iterator[_Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [(column or "").strip().lower() for column in reader.fieldnames or ()]
        if not set(_COLUMNS) <= set(columns):
            raise InvalidRequest(
                f"labels.csv line 1 must name the columns photo and label, separated by a comma (got {columns})"
            )
        reader.fieldnames = columns
        for fields in reader:
            if None in fields or None in fields.values():
                problem = f"has not {len(columns)} fields, as line 1 has; put a label with commas in double quotes"
                yield _Row(reader.line_num, problem=problem)
            else:
                yield _Row(reader.line_num, fields["photo"], fields["label"])
    except csv.Error as error:
        raise InvalidRequest(f"labels.csv line {reader.line_num}: {error}; check its quotes and commas") from None


def _json_rows(text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> _Row:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Row(number, problem=f"is not JSON: {error}")
    if not isinstance(record, dict) or not all(isinstance(record.get(column), str) for column in _COLUMNS):
        return _Row(number, problem='must be like {"photo": "cat.jpg", "label": "cat, sofa"}')
    if _HALF_A_CHARACTER.search(record["photo"] + record["label"]):
        return _Row(number, problem="holds half a character, from \\ud800 to \\udfff; write the whole one")
    return _Row(number, record["photo"], record["label"])


def _check(run: Run, rows: list[_Row], known: Mapping[str, InventoryLine]) -> tuple[list[str], dict[str, OwnLabel]]:
    """Return what is wrong, by line, and the labels by image."""
    problems: list[str] = []
    found: dict[str, OwnLabel] = {}
    first: dict[str, int] = {}
    for row in rows:
        photo = _unicode(row.photo.strip())
        problem = row.problem or _problem(run, row, photo, known, first)
        first.setdefault(photo, row.line)
        if problem is None and (image := known[photo].image):
            label = OwnLabel(image=image, photo=known[photo].photo, text=_laid_out(run, row.label))
            twin = found.setdefault(image, label)
            if twin.text != label.text:
                problem = f"labels {photo!r} otherwise than {twin.photo!r}, which is the same image; make them one"
        if problem:
            # Looking for a name like it takes long among many.
            hint = _hint(photo, known) if photo and photo not in known and len(problems) < _SHOWN else ""
            problems.append(f"line {row.line} {problem}{hint}")
    return problems, found


def _problem(
    run: Run, row: _Row, photo: str, known: Mapping[str, InventoryLine], first: Mapping[str, int]
) -> str | None:
    if not photo:
        return "names no photo; write its name as it is in the collection"
    if photo not in known:
        return f"names {photo!r}, which is no photo of {run.collection!r}"
    if photo in first:
        return f"is a second label of {photo!r}, after line {first[photo]}; keep one"
    if not row.label.strip():
        return f"has an empty label of {photo!r}; fill it, or remove the line to have the teacher asked"
    most = run.request.max_tokens * _CHARACTERS_PER_TOKEN
    if len(row.label) > most:
        return f"has a label of {len(row.label)} characters, more than the {most} that max_tokens lets the student say"
    return _fault(run, row.label)


def _fault(run: Run, label: str) -> str | None:
    """Judge a label as the teacher's answers are; what is only measured against may be of any length."""
    unlimited = run.model_copy(update={"limits": Limits()})
    if fault := text_rejection(unlimited, label):
        return f"has a label that {fault}; change it"
    if run.request.own_labels != "gold" and (fault := text_rejection(run, label)):
        return f"has a label that {fault}; change it, or keywords_min and keywords_max, or put own_labels: gold"
    return None


def _hint(photo: str, known: Mapping[str, InventoryLine]) -> str:
    near = difflib.get_close_matches(photo, known, 1)
    return f"; is it {near[0]!r}?" if near else "; write its name as it is below the collection's folder"


def _laid_out(run: Run, label: str) -> str:
    """Lay a label out as the format has it: the student learns the layout too."""
    return FORMATS[run.answer_format].consensus([label], 1, Limits())


def _unicode(name: str) -> str:
    # A Mac writes "é" as two characters, a spreadsheet as one.
    return unicodedata.normalize("NFC", name)
