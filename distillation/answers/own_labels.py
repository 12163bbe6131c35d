"""The owner's own labels: ``labels.csv`` or ``labels.jsonl`` in the collection.

The whole file is checked before the first label is paid for.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distillation.answers.formats import format_of
from distillation.answers.formats.base import Format
from distillation.answers.owner_files import decode_text, file_sizes
from distillation.answers.rejection import text_rejection
from distillation.answers.reserved_words import find_reserved_words
from distillation.errors import InvalidRequest, excerpt
from distillation.plain_text import clean, clean_line, unmark_formula
from distillation.records import InventoryLine, OwnLabel, Run
from distillation.storage import Bucket

OWN_LABELS_FILES = ("labels.csv", "labels.jsonl")
"""Names that the file may have. It is in the collection's folder, beside ``distill.json``."""
MAXIMUM_BYTES = 32 * 1024 * 1024
"""Size limit of the file, in bytes."""
_CHARACTERS_PER_TOKEN = 4
_SURROGATE = re.compile("[\ud800-\udfff]")
_PHOTO, _LABEL, _USE = "photo", "label", "use"
_USES = {"": True, "yes": True, "true": True, "no": False, "false": False}
"""Whether a photo is used, by the content of the column ``use``."""
_JSON_FORM = (
    '{"photo": "cat.jpg", "label": "cat, sofa"}; a label may also be a JSON list or object, and "use": "no" rejects '
    "the photo"
)
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class _Row:
    """One line of the file."""

    line: int
    photo: str = ""
    label: str = ""
    use: bool = True
    """Whether the run uses the photo. If not, its label is not read."""
    problem: str | None = None
    """Why the line cannot be read, as a predicate; None if it can."""


@dataclass(frozen=True)
class OwnLabels:
    """Content of the owner's file of labels, for images that are usable."""

    labels: list[OwnLabel]
    """Labels, in the order of the file."""
    rejected: frozenset[str] = frozenset()
    """Images that the run must not use: the file has ``no`` in the column ``use`` for them."""


def read_own_labels(
    run: Run, photos: Bucket, inventory: Iterable[InventoryLine], *, has_format: bool = True
) -> OwnLabels:
    """Return the owner's labels and rejections of usable images; empty if there is no file.

    Without ``has_format`` the answer format is not known yet, and only what all formats share is checked.
    Raises ``InvalidRequest`` that names each wrong line and its remedy.
    """
    name = _file_name(run, photos)
    if name is None:
        return OwnLabels([])
    return parse_own_labels(run, name, photos.read(f"{run.collection}{name}"), inventory, has_format=has_format)


def parse_own_labels(
    run: Run, name: str, body: bytes, inventory: Iterable[InventoryLine], *, has_format: bool = True
) -> OwnLabels:
    """Return the owner's labels and rejections of usable images in the file ``name`` with the content ``body``.

    In ``distill estimate`` and ``distill upload`` the images do not exist yet, and inventory lines have only names.
    Then the file is checked and no label is returned. Raises ``InvalidRequest`` that names each wrong line and its
    remedy.
    """
    answer_format = format_of(run) if has_format else None
    rows = list(_read_rows(name, body, answer_format))
    if not rows:
        raise InvalidRequest(f"{name} contains no label. Write a line for each photo that has one, or remove the file.")
    lines_by_name = {
        _composed(line.photo.removeprefix(run.collection)): line for line in inventory if line.status != "ignored"
    }
    problems, checked = _check_rows(run, answer_format, rows, lines_by_name)
    if problems:
        hidden = len(problems) - _SHOWN_PROBLEMS
        more = f" And {hidden} more." if hidden > 0 else ""
        shown = " ".join(f"{name} {problem}" for problem in problems[:_SHOWN_PROBLEMS])
        raise InvalidRequest(f"{shown}{more}{_remedy(run, answer_format, rows, lines_by_name)}")
    return OwnLabels(
        [content for content in checked.values() if isinstance(content, OwnLabel)],
        frozenset(image for image, content in checked.items() if isinstance(content, _Rejected)),
    )


def read_own_label_rows(run: Run, photos: Bucket, names: Iterable[str]) -> list[tuple[str, str, bool]]:
    """Return photo, label and use of each line of the owner's file as it is now; empty if there is no file.

    A photo that is one of ``names`` in another Unicode form, or as tables show it, gets that name. Lines that cannot be
    read are left out. Raises ``InvalidRequest`` if the whole file cannot be read.
    """
    name = _file_name(run, photos)
    rows = _read_rows(name, photos.read(f"{run.collection}{name}"), format_of(run)) if name else ()
    names_by_form = {_composed(photo): photo for photo in names}
    shown_names = _shown_names(names_by_form)
    return [
        (names_by_form.get(_photo_of(row, names_by_form, shown_names), row.photo), row.label, row.use)
        for row in rows
        if row.problem is None
    ]


def _file_name(run: Run, photos: Bucket) -> str | None:
    """Return the name of the file of labels, or None if there is none.

    Raises ``InvalidRequest`` for two files, for a file that is too large, and for a missing file if the request needs
    one.
    """
    sizes = file_sizes(run.collection, OWN_LABELS_FILES, photos)
    names = list(sizes)
    if len(names) > 1:
        raise InvalidRequest(f"{' and '.join(names)} are both in {excerpt(run.collection)!r}. Keep one of them.")
    if not names:
        if run.request.own_labels:
            raise InvalidRequest(
                f"own_labels: neither {' nor '.join(OWN_LABELS_FILES)} is in {excerpt(run.collection)!r}. Upload one, "
                "or remove own_labels from the request."
            )
        return None
    if names[0] not in OWN_LABELS_FILES:
        # A policy that denies uploads of labels.csv (docs/security.md) compares case.
        raise InvalidRequest(
            f"{excerpt(names[0])} would not be read. Upload it as {names[0].lower()}, as distill upload does, "
            "or remove it."
        )
    if (size := sizes[names[0]]) > MAXIMUM_BYTES:
        raise InvalidRequest(f"{names[0]} has {size:,} bytes, more than {MAXIMUM_BYTES:,}. Shorten the labels.")
    return names[0]


def _read_rows(name: str, body: bytes, answer_format: Format | None) -> Iterator[_Row]:
    text = decode_text(name, body)
    yield from (_csv_rows(text, answer_format) if name.endswith(".csv") else _json_rows(text))


def _csv_rows(text: str, answer_format: Format | None) -> Iterator[_Row]:
    delimiter = _delimiter(text)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = list(map(_column, reader.fieldnames or ()))
        of_label = _columns_of_label(columns, answer_format)
        reader.fieldnames = columns
        for fields in reader:
            # DictReader marks surplus fields with the key None, and missing fields with the value None.
            if None in fields or None in fields.values():
                problem = (
                    f"does not have {len(columns)} fields as line 1 has. "
                    f"Put labels with {_DELIMITERS[delimiter]} in double quotes."
                )
                yield _Row(reader.line_num, problem=problem)
            else:
                cells = [unmark_formula(fields[column]) for column in of_label]
                label = _label_of_cells(cells, None if of_label == [_LABEL] else answer_format)
                yield _row(reader.line_num, unmark_formula(fields[_PHOTO]), label, fields.get(_USE))
    except csv.Error as error:
        raise InvalidRequest(f"labels.csv line {reader.line_num}: {error}. Check its quotes and commas.") from None


def _row(line: int, photo: str, label: str, use: Any) -> _Row:
    """Return a row; ``use`` is the content of that column, or None without one."""
    content = str("" if use is None else use).strip().lower()
    if content not in _USES:
        return _Row(line, photo, label, problem=f"has {excerpt(use)!r} as use of {excerpt(photo)!r}. Write yes or no.")
    return _Row(line, photo, label, _USES[content])


def _column(name: str | None) -> str:
    return (name or "").strip().lower()


def _columns_of_label(columns: list[str], answer_format: Format | None) -> list[str]:
    """Return the columns that have the label: ``label``, or those of the answer format in results.csv.

    These are all other columns if the format is not known, and none in a file that only rejects photos. Raises
    ``InvalidRequest`` if one is missing.
    """
    others = [column for column in columns if column not in (_PHOTO, _USE)]
    of_format = others if answer_format is None else list(map(_column, answer_format.columns()))
    of_label = [_LABEL] if _LABEL in columns else of_format if others else []
    missing = [column for column in (_PHOTO, *of_label) if column not in columns]
    if missing or not (of_label or _USE in columns):
        instead = f" Instead of label it may name {excerpt(', '.join(of_format))}" if answer_format else ""
        raise InvalidRequest(
            "labels.csv line 1 must name the columns photo and label, separated by a comma, a semicolon or a tab."
            f"{instead} (missing: {excerpt(', '.join(missing or [_LABEL]))}; got {excerpt(columns)})."
        )
    if twice := [column for column in (_PHOTO, *of_label, _USE) if columns.count(column) > 1]:
        raise InvalidRequest(f"labels.csv line 1 names the column {excerpt(twice[0])!r} twice. Remove one of them.")
    return of_label


def _label_of_cells(cells: list[str], answer_format: Format | None) -> str:
    """Return the label that cells give: one for each column of the format, or the text itself; empty without any."""
    if not any(map(str.strip, cells)):
        return ""
    return answer_format.text_of_cells(cells) if answer_format else "\n".join(cells)


def _delimiter(text: str) -> str:
    """Return the delimiter of line 1: a semicolon in spreadsheets of many locales, a tab in Unicode text of Excel."""
    header = text.partition("\n")[0]
    return next((delimiter for delimiter in _DELIMITERS if delimiter in header), ",")


def _json_rows(text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> _Row:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Row(number, problem=f"is not valid JSON: {error}. Write one JSON object per line.")
    if not isinstance(record, dict) or not isinstance(record.get(_PHOTO), str):
        return _Row(number, problem=f"must have the form {_JSON_FORM}.")
    label = record.get(_LABEL, "" if _USE in record else None)
    if not isinstance(label, str | list | dict):
        return _Row(number, problem=f"must have the form {_JSON_FORM}.")
    text = label if isinstance(label, str) else json.dumps(label, ensure_ascii=False) if label else ""
    if _SURROGATE.search(record[_PHOTO] + text):
        problem = "contains an unpaired surrogate (\\ud800 to \\udfff). Write the whole character."
        return _Row(number, problem=problem)
    return _row(number, record[_PHOTO], text, record.get(_USE))


@dataclass(frozen=True)
class _Rejected:
    """An image that the file rejects."""

    photo: str
    """Key of the photo in the Photos bucket."""


def _check_rows(
    run: Run, answer_format: Format | None, rows: list[_Row], lines_by_name: Mapping[str, InventoryLine]
) -> tuple[list[str], dict[str, OwnLabel | _Rejected]]:
    """Return the problems in the order of the lines, and the valid labels and rejections keyed by image."""
    problems: list[str] = []
    checked: dict[str, OwnLabel | _Rejected] = {}
    first_lines: dict[str, int] = {}
    shown_names = _shown_names(lines_by_name)
    for row in rows:
        photo = _photo_of(row, lines_by_name, shown_names)
        problem = row.problem or _row_problem(run, answer_format, row, photo, lines_by_name, first_lines)
        first_lines.setdefault(photo, row.line)
        if problem is None and answer_format and (image := lines_by_name[photo].image):
            content = _content(row, image, lines_by_name[photo].photo, answer_format)
            problem = _difference(checked.setdefault(image, content), content, photo)
        if problem:
            # Searching for similar names is slow in a large collection, so only shown problems get a hint.
            is_unknown = photo and photo not in lines_by_name
            hint = _spelling_hint(photo, lines_by_name) if is_unknown and len(problems) < _SHOWN_PROBLEMS else ""
            problems.append(f"line {row.line} {problem}{hint}")
    return problems, checked


def _content(row: _Row, image: str, photo: str, answer_format: Format) -> OwnLabel | _Rejected:
    if not row.use:
        return _Rejected(photo)
    # The student learns the layout too, so the label gets that of the format.
    return OwnLabel(image=image, photo=photo, text=answer_format.write(answer_format.parse(row.label)))


def _difference(first: OwnLabel | _Rejected, content: OwnLabel | _Rejected, photo: str) -> str | None:
    """Return why a line contradicts the first one about the same image, or None if it does not."""
    if isinstance(first, OwnLabel) and isinstance(content, OwnLabel) and first.text != content.text:
        return (
            f"labels {excerpt(photo)!r} differently from {excerpt(first.photo)!r}, which is the same image. Give both "
            "the same label."
        )
    if type(first) is not type(content):
        return (
            f"uses one of {excerpt(photo)!r} and {excerpt(first.photo)!r}, which are the same image, and rejects the "
            "other. Give both the same use."
        )
    return None


def _row_problem(
    run: Run,
    answer_format: Format | None,
    row: _Row,
    photo: str,
    lines_by_name: Mapping[str, InventoryLine],
    first_lines: Mapping[str, int],
) -> str | None:
    if not photo:
        return "names no photo. Write the photo's name as it is in the collection."
    if photo not in lines_by_name:
        return f"names {excerpt(photo)!r}, which is not a photo in {excerpt(run.collection)!r}"
    if photo in first_lines:
        return f"is a second label for {excerpt(photo)!r}, after line {first_lines[photo]}. Keep one."
    if not row.use:
        return None
    if not row.label.strip():
        return f"has an empty label for {excerpt(photo)!r}. Write one, or remove the line to use the teacher's label."
    maximum = run.request.max_tokens * _CHARACTERS_PER_TOKEN
    if run.request.own_labels != "gold" and len(row.label) > maximum:
        return (
            f"has a label of {len(row.label)} characters, more than the {maximum} that the student can write "
            f"in max_tokens ({run.request.max_tokens}). Shorten the label or raise max_tokens."
        )
    return _label_problem(run, answer_format, row.label)


def _label_problem(run: Run, answer_format: Format | None, label: str) -> str | None:
    """Return why a label is not usable, or None if it is.

    The rules are those for the teacher's answers. Labels with ``own_labels: gold`` may have any number of items,
    because nothing is trained on them.
    """
    if answer_format is None:
        words = ", ".join(find_reserved_words(clean(label)))
        return f"has a label that contains {words}, which Bedrock reserves. Change it." if words else None
    if reason := text_rejection(answer_format, label, is_trained_on=False):
        return f"has a label that {reason}. Change it."
    if run.request.own_labels != "gold" and (reason := text_rejection(answer_format, label)):
        return f"has a label that {reason}."
    return None


def _remedy(
    run: Run, answer_format: Format | None, rows: Iterable[_Row], lines_by_name: Mapping[str, InventoryLine]
) -> str:
    """Return the settings of the format that allow all labels, in a sentence; empty if none are needed."""
    if answer_format is None or run.request.own_labels == "gold":
        return ""
    shown_names = _shown_names(lines_by_name)
    labels = [row.label for row in rows if row.use and _photo_of(row, lines_by_name, shown_names) in lines_by_name]
    valid = [label for label in labels if text_rejection(answer_format, label, is_trained_on=False) is None]
    remedy = answer_format.label_remedy(map(answer_format.parse, valid))
    return f" To train on all labels, {remedy}. Or set own_labels to gold." if remedy else ""


def _spelling_hint(photo: str, names: Iterable[str]) -> str:
    similar = difflib.get_close_matches(excerpt(photo), list(names), 1)
    return (
        f". Did you mean {excerpt(similar[0])!r}?"
        if similar
        else ". Write its name relative to the collection's folder."
    )


def _photo_of(row: _Row, names: Container[str], shown_names: Mapping[str, str]) -> str:
    """Return the name of the photo that a row names as it is, in another Unicode form or as tables show it."""
    photo = _composed(row.photo.strip())
    return photo if photo in names else shown_names.get(_shown_name(photo), photo)


def _shown_names(names: Iterable[str]) -> dict[str, str]:
    """Return names of photos by the name that tables show; a shown name that several photos share has none."""
    counts = Counter(map(_shown_name, names))
    return {shown: name for name in names if counts[shown := _shown_name(name)] == 1}


def _shown_name(name: str) -> str:
    """Return a photo's name as in results.csv: the owner may have copied it from there."""
    return clean_line(name).strip()


def _composed(name: str) -> str:
    """Return ``name`` in Unicode form NFC. macOS stores accented letters as two code points, spreadsheets as one."""
    return unicodedata.normalize("NFC", name)
