"""Files of answers for ``distill evaluate``: JSON Lines, JSON or CSV, whose layout is detected."""

from __future__ import annotations

import csv
import io
import json
import statistics
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.console import CommandError
from distillation.answers.formats import Format, parse_format
from distillation.answers.formats.keywords import MAXIMUM_WORDS, Keywords, normalised_keyword
from distillation.answers.keyword_reader import read_keywords, write_keywords
from distillation.answers.rejection import content_rejection
from distillation.documents import AnswersFile
from distillation.errors import excerpt
from distillation.plain_text import unmark_formula
from distillation.records import AnswerLine
from distillation.runs.request import read_prompt_file, shipped_prompt

EXAMPLE = '{"image": "cat.jpg", "text": "cat, sofa"}'
_FIELDS = ("status", "reason", "usage", "latency_ms")
_IMAGE_FIELDS = ("image", "photo", "file", "filename", "file_name", "path", "id", "name")
_TEXT_FIELDS = ("text", "answer", "label", "keywords", "tags", "labels", "prediction", "output")
_PROSE_SHARE = 0.5
"""Share of answers (0-1) from which a form describes the file."""


class InvalidAnswers(CommandError):
    """A file of answers is not valid. The message has the file, the line and what to do."""


@dataclass(frozen=True)
class Answers:
    """Content of a file of answers."""

    facts: AnswersFile
    lines: Mapping[str, AnswerLine]
    """Answers by image."""
    groups: Mapping[str, str]
    """Group of near-duplicates by image."""


def read_answers(path: Path, answer_format: Format) -> Answers:
    """Return the answers in a file; an answer that is not in ``answer_format`` is refused.

    Raises ``InvalidAnswers`` that names the place and the remedy.
    """
    try:
        body = path.read_bytes()
        text = body.decode("utf-16" if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidAnswers(f"{path} cannot be read: {error}. Name a file of JSON Lines, JSON or CSV.") from None
    layout, records = _records(text, path, answer_format)
    answers: dict[str, AnswerLine] = {}
    groups: dict[str, str] = {}
    for place, record in records:
        image = record["image"]
        if image in answers:
            raise InvalidAnswers(f"{place}: second answer about {image}. Keep one for each image.")
        answers[image] = _answer(record, place, path, answer_format)
        groups[image] = record.get("group") or image
    if not answers:
        raise InvalidAnswers(f"{path} contains no answers. Write lines such as {EXAMPLE}")
    form = _form(answer_format, list(answers.values()))
    facts = AnswersFile(name=path.name, layout=layout, form=form, answers=len(answers), unknown=[])
    return Answers(facts, answers, groups)


def _records(text: str, path: Path, answer_format: Format) -> tuple[str, Iterator[tuple[str, dict[str, Any]]]]:
    """Return the layout of a file, and its records with their places."""
    first = text.lstrip()[:1]
    if first in ("[", "{") and (value := _whole_json(text)) is not None:
        return "JSON", _json_records(value, path)
    if first in ("[", "{", ""):
        return "JSON Lines", _line_records(text, path)
    return "CSV", _csv_records(text, path, answer_format)


def _whole_json(text: str) -> Any:
    """Return the value of a file that is one JSON array or object, or None for JSON Lines."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    # A file with one line of JSON Lines is an object too.
    return None if isinstance(value, dict) and _field(value, _IMAGE_FIELDS) else value


def _json_records(value: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        inner = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
        if len(value) == len(inner) == 1:
            value = inner[0]
        else:
            value = [{"image": image, "text": answer} for image, answer in value.items()]
    for number, record in enumerate(value, 1):
        place = f"{path}: answer {number}"
        yield place, _checked(record, place)


def _line_records(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    # Only a line feed ends a line: a JSON string may contain U+2028 and other line separators.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidAnswers(f"{place}: not valid JSON: {error}. Write lines such as {EXAMPLE}") from None
        yield place, _checked(record, place)


def _csv_records(text: str, path: Path, answer_format: Format) -> Iterator[tuple[str, dict[str, Any]]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [(column or "").strip().lower() for column in reader.fieldnames or ()]
        # results.csv has the columns of the format, such as one for each field.
        of_format = [column.strip().lower() for column in answer_format.columns()]
        has_format = set(of_format) <= set(columns)
        others = set(columns) - (set(of_format) if has_format else set())
        if not others & set(_IMAGE_FIELDS) or not (has_format or others & set(_TEXT_FIELDS)):
            raise InvalidAnswers(
                f"{path}:1: the columns {', '.join(columns)[:200]!r} name no image or no answer. Write a first line "
                f"such as image,text or image,{excerpt(','.join(of_format))}, or JSON Lines."
            )
        reader.fieldnames = columns
        for record in reader:
            place = f"{path}:{reader.line_num}"
            if None in record or None in record.values():
                raise InvalidAnswers(
                    f"{place}: not as many fields as line 1. Put answers with commas in double quotes."
                )
            # results.csv marks what a spreadsheet would read as a formula.
            cells = {name: unmark_formula(value) for name, value in record.items()}
            given = {name: value for name, value in cells.items() if value and name in others}
            of_answer = [cells[name] for name in of_format] if has_format else []
            if any(map(str.strip, of_answer)):
                given["text"] = answer_format.text_of_cells(of_answer)
            yield place, _checked(given, place)
    except csv.Error as error:
        raise InvalidAnswers(f"{path}:{reader.line_num}: {error}. Check its quotes and commas.") from None


def _checked(record: Any, place: str) -> dict[str, Any]:
    """Return a record with the fields ``image`` and ``text``."""
    if not isinstance(record, dict) or not (image := _field(record, _IMAGE_FIELDS)):
        raise InvalidAnswers(f"{place}: the answer has no image name. Write lines such as {EXAMPLE}")
    if not isinstance(record.get("group"), str | None):
        raise InvalidAnswers(
            f"{place}: group is not a string. Use the same string for images that are near-duplicates."
        )
    text = next((record[name] for name in _TEXT_FIELDS if record.get(name) is not None), None)
    return {**record, "image": image, "text": answer_text(text)}


def answer_text(value: Any) -> Any:
    """Return the text of an answer that is a list of keywords, a JSON object or a number; any other value as it is."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return write_keywords(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _field(record: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """Return the first of the fields that is a text or a whole number."""
    values = (record.get(name) for name in names)
    return next((str(value) for value in values if value not in ("", None) and type(value) in (str, int)), None)


def _answer(record: dict[str, Any], place: str, path: Path, answer_format: Format) -> AnswerLine:
    text = record["text"]
    fields = {name: record[name] for name in _FIELDS if name in record} | ({} if text is None else {"text": text})
    # results.jsonl and results.csv have the status "set aside".
    if fields.get("status") == "set aside":
        fields["status"] = "refused"
    if "status" not in fields:
        reason = content_rejection(answer_format, text) if isinstance(text, str) else None
        fields |= {"status": "refused", "reason": reason} if reason else {"status": "ok"}
    try:
        return AnswerLine.model_validate({**fields, "image": record["image"], "answerer": path.stem})
    except ValidationError as error:
        detail = error.errors()[0]
        raise InvalidAnswers(f"{place}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}") from None


def _form(answer_format: Format, lines: list[AnswerLine]) -> str:
    """Return the form of the answers, such as ``lists of keywords, median 6``."""
    texts = [line.text for line in lines if line.text and line.text.strip()]
    if not texts:
        return "empty"
    if isinstance(answer_format, Keywords):
        return _form_of_keywords(texts)
    valid = sum(line.status == "ok" and bool((line.text or "").strip()) for line in lines)
    return f"{valid} of {len(lines)} are {answer_format.noun}"


def _form_of_keywords(texts: list[str]) -> str:
    if sum(text.lstrip().startswith("{") for text in texts) > _PROSE_SHARE * len(texts):
        return "JSON objects, read as keywords: if they have fields, name their prompt with --prompt"
    items = [list(dict.fromkeys(map(normalised_keyword, read_keywords(text)))) for text in texts]
    prose = sum(any(len(item.split()) > MAXIMUM_WORDS for item in found) for found in items)
    if prose > _PROSE_SHARE * len(items):
        return "prose"
    counts = [len(found) for found in items]
    if max(counts) == 1:
        return "one keyword each, such as a class"
    return f"lists of keywords, median {statistics.median(counts):g}"


def read_format(prompt: str) -> Format:
    """Return the answer format of a prompt: a TOML file, or the name of one in samples/prompts.

    Raises ``InvalidRequest`` that names the wrong field.
    """
    path = Path(prompt)
    is_file = path.suffix == ".toml" or path.is_file()
    file = read_prompt_file(path, prompt) if is_file else shipped_prompt(prompt, "--prompt")
    return parse_format(file.answers, f"{prompt}: answers")
