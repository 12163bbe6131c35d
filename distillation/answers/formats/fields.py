"""The format ``fields``: one JSON object with the fields of a flat schema."""

from __future__ import annotations

import json
import math
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, TypeGuard

from pydantic import Field, JsonValue, model_validator

from distillation.answers.formats.base import Compared, Format, FormInput, Metric, NotInFormat, Part
from distillation.answers.markup import decode_structure, without_reasoning
from distillation.answers.plurals import singular
from distillation.documents import Table
from distillation.errors import excerpt
from distillation.plain_text import clean, clean_line
from distillation.records import Record

INSTRUCTION = "Answer with one JSON object with these fields and nothing else:"
"""First line of the instruction."""
MAXIMUM_FIELDS = 50
"""Fields that a schema may have."""
RESERVED_NAMES = ("photo", "status", "reason", "answered_by", "label", "use")
"""Names of other columns in results.csv and in a file of your own labels."""

FieldType = Literal["string", "number", "boolean", "one of", "list"]
FieldValue = str | int | float | bool | tuple[str, ...]
_OBJECTS = 8
"""Braces at which the reader looks for the answer's JSON object."""
_MAXIMUM_NUMBER = 10**15
"""Largest absolute value of a number; a float has all of its digits."""
_DECIMALS = 9
"""Decimals to which two numbers are compared, so that 0.3 - 0.2 is within a tolerance of 0.1."""
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,15})?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,15},\d{1,2}")
"""Number of a spreadsheet in many locales; three digits after a comma are thousands."""
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_SEPARATOR = re.compile(r"[,;\n]")
_NO_BREAK_SPACE = re.compile("[\u00a0\u2007\u202f\u3000]")
_SPACES = str.maketrans(dict.fromkeys("-_‐‑‒–—―−⁃", " "))
_ENDS = " .\"'“”‘’"
_ONE_LINE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+"


class AnswerField(Record):
    """One field of the schema."""

    name: str = Field(max_length=40, pattern=r"^\w[\w -]*$")
    """Name, 1-40 letters, digits, spaces, hyphens and underscores."""
    type: FieldType
    """``string``, ``number``, ``boolean``, ``one of`` or ``list`` (of strings)."""
    options: list[str] = Field(default=[], max_length=100)
    """Values of a field of type ``one of``, 2-100."""
    tolerance: float = Field(default=0, ge=0)
    """Largest difference of two numbers that count as equal, for a field of type ``number``."""
    weight: float = Field(default=1, ge=0, le=1000)
    """Weight of the field in the similarity, 0-1,000. A field of weight 0 is answered, but not scored."""
    description: str | None = Field(default=None, min_length=1, max_length=500, pattern=f"^{_ONE_LINE}$")
    """Meaning of the field, one line of at most 500 characters; the instruction has it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        options = list(map(normalised, self.options))
        if self.type == "one of":
            if len(options) < 2 or len(set(options)) < len(options) or not all(options):
                raise ValueError("'options' must be 2-100 values that differ in more than case, hyphens and quotes")
            if long := [option for option in self.options if len(option) > 100 or not re.fullmatch(_ONE_LINE, option)]:
                raise ValueError(f"an option must be one line of at most 100 characters, not {excerpt(long[0])!r}")
        elif options:
            raise ValueError(f"'options' belongs to the type 'one of', not to {self.type!r}. Remove it or change type")
        if self.tolerance and self.type != "number":
            raise ValueError(f"'tolerance' belongs to the type 'number', not to {self.type!r}. Remove it")
        return self

    @property
    def instruction(self) -> str:
        """Line of the instruction."""
        forms = {
            "string": "a string",
            "number": "a number",
            "boolean": "true or false",
            "one of": f"one of {', '.join(map(_json, self.options))}",
            "list": "a list of strings",
        }
        description = f"; {self.description}" if self.description else ""
        return f"- {_json(self.name)}: {forms[self.type]}{description}"

    @property
    def form_input(self) -> FormInput:
        """Input in which a person corrects the field."""
        if self.type == "one of":
            return FormInput(self.name, "choice", self.options)
        if self.type == "boolean":
            return FormInput(self.name, "choice", ["true", "false"])
        if self.type == "list":
            return FormInput(self.name, "items")
        return FormInput(self.name, "number" if self.type == "number" else "text")

    @cached_property
    def _options(self) -> dict[str, str]:
        return {normalised(option): option for option in self.options}

    def read(self, value: Any) -> FieldValue:
        """Return the value that a JSON value gives. Raises ``ValueError`` with the reason, a predicate."""
        return _READERS[self.type](self, value)

    def read_cell(self, cell: str) -> JsonValue:
        """Return the JSON value of a table's cell; None for an empty cell of a field that cannot be empty."""
        if self.type == "list":
            return _list_of_cell(cell)
        return cell if cell.strip() or self.type == "string" else None

    def similarity(self, left: FieldValue, right: FieldValue) -> float:
        """Return the similarity of two values of this field, 0-1."""
        if isinstance(left, tuple) and isinstance(right, tuple):
            mine, theirs = comparable_items(left), comparable_items(right)
            union = len(mine | theirs)
            return len(mine & theirs) / union if union else 1.0
        if self.type == "number":
            return float(round(abs(float(left) - float(right)), _DECIMALS) <= self.tolerance)  # type: ignore[arg-type]
        return float(comparable(left) == comparable(right))


@dataclass(frozen=True)
class FieldValues:
    """Fields of one answer."""

    values: Mapping[str, FieldValue]
    """Valid values by name of the field, in the order of the schema."""
    problems: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Why a field of the schema has no valid value, as a predicate, by name of the field."""
    extra: tuple[str, ...] = field(default=(), compare=False)
    """Names of fields that the schema does not have."""


class Fields(Format):
    """Settings of the format ``fields``."""

    format: str = "fields"
    """``fields``."""
    fields: list[AnswerField] = Field(min_length=1, max_length=MAXIMUM_FIELDS)
    """Schema: the fields of an answer, 1-50."""

    similarity_name: ClassVar = "mean similarity of fields"
    similarity_explanation: ClassVar = (
        "The weighted mean of the fields: 1 for an equal value or a number within its tolerance, else 0; for a list "
        "the shared items over all items."
    )
    noun: ClassVar = "a JSON object with the fields of the prompt"
    control_name: ClassVar = "the most common value of each field"
    layout: ClassVar = "fields"
    metrics: ClassVar = {
        "all_fields": Metric("answers with every field right", "%.1f %%", 100),
        "json": Metric("answers that are a JSON object", "%.1f %%", 100),
        "missing": Metric("missing or invalid fields per answer", "%.2f", 1),
        "extra": Metric("fields per answer that the prompt does not have", "%.2f", 1),
    }
    similarity_limits: ClassVar = (
        "A string counts as equal only if it has the same words in the same order: a synonym scores 0, so read the "
        "table by field and the gallery."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [normalised(each.name) for each in self.fields]
        if twice := [each.name for each, name in zip(self.fields, names, strict=True) if names.count(name) > 1]:
            raise ValueError(f"two fields are named {excerpt(twice[0])!r}. Rename one of them")
        if taken := [each.name for each in self.fields if normalised(each.name) in map(normalised, RESERVED_NAMES)]:
            raise ValueError(
                f"{excerpt(taken[0])!r} is a column of the tables of results and labels "
                f"({', '.join(RESERVED_NAMES)}). Rename the field"
            )
        if not any(each.weight for each in self.fields):
            raise ValueError("all fields have weight 0, so that nothing is scored. Give one a weight above 0")
        return self

    @cached_property
    def _names(self) -> dict[str, str]:
        return {normalised(each.name): each.name for each in self.fields}

    def instruction(self) -> str:
        """Return the schema, one line for each field."""
        return "\n".join([INSTRUCTION, *(each.instruction for each in self.fields)])

    def parse(self, text: str) -> FieldValues:
        """Return the fields of the first JSON object in ``text`` that has one of the schema, with or without a fence.

        A missing or invalid field is noted, and the answer is valid. It is not if no field of the schema is.
        """
        # JSON has no other spaces, which texts copied from pages and documents have.
        found = next(self._objects(without_reasoning(_NO_BREAK_SPACE.sub(" ", clean(text)))), None)
        if found is None:
            raise NotInFormat(f"is not a JSON object with the fields of the prompt: {excerpt(text)!r}")
        values: dict[str, FieldValue] = {}
        problems: dict[str, str] = {}
        for each in self.fields:
            try:
                values[each.name] = each.read(found[each.name])
            except KeyError:
                problems[each.name] = "is missing"
            except ValueError as error:
                problems[each.name] = str(error)
        if not values:
            raise NotInFormat(f"has no valid field: {_first_problems(problems)}")
        return FieldValues(values, problems, tuple(name for name in found if name not in self._names.values()))

    def _objects(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects in ``text`` with a field of the schema; names are spelled as in the schema."""
        braces = [match.start() for match in re.finditer(r"\{", text)]
        for start in braces[:_OBJECTS]:
            value, _ = decode_structure(text, start)
            if isinstance(value, dict):
                spelled = {name: self._names.get(normalised(name), clean_line(name)) for name in map(str, value)}
                # A name as in the schema goes before one in another spelling.
                named = {own: value[name] for name, own in spelled.items() if name == own or own not in value}
                if not named.keys().isdisjoint(self._names.values()):
                    yield named

    def write(self, value: FieldValues) -> str:
        """Return the fields as a JSON object on one line, in the order of the schema."""
        return _json(self.json_value(value))

    def label_problem(self, value: FieldValues) -> str | None:
        """Return the fields that are missing or invalid, or None if there are none."""
        return f"does not have every field: {_first_problems(value.problems)}" if value.problems else None

    def gold_problem(self, value: FieldValues) -> str | None:
        """Return the fields that are missing or invalid: an answer that has them would score 0 for them."""
        return self.label_problem(value)

    def consensus(self, values: Sequence[FieldValues], votes: int) -> FieldValues | None:
        """Return the fields on which at least ``votes`` answers agree; None if they agree on no field.

        The other fields are those of the answer that is most similar to all others, so that a label has all fields.
        """
        agreed: dict[str, FieldValue] = {}
        for each in self.fields:
            given = [value.values[each.name] for value in values if each.name in value.values]
            if given and (common := _agreed(each, given, votes)) is not None:
                agreed[each.name] = common
        if not agreed:
            return None
        central = sorted(values, key=lambda value: -sum(self.similarity(value, other) for other in values))
        for each in self.fields:
            given = [value.values[each.name] for value in central if each.name in value.values]
            if given:
                agreed.setdefault(each.name, given[0])
        return FieldValues({each.name: agreed[each.name] for each in self.fields if each.name in agreed})

    def similarity(self, left: FieldValues, right: FieldValues) -> float:
        """Return the weighted mean similarity of the fields; a field that only one of the two has counts as 0."""
        total = score = 0.0
        for each in self.fields:
            mine, theirs = left.values.get(each.name), right.values.get(each.name)
            if mine is None and theirs is None:
                continue
            total += each.weight
            if mine is not None and theirs is not None:
                score += each.weight * each.similarity(mine, theirs)
        return score / total if total else float(left == right)

    def control(self, training: Sequence[FieldValues]) -> FieldValues:
        """Return for each field the most common value; for a list its most common items, for a number see tolerance."""
        values: dict[str, FieldValue] = {}
        for each in self.fields:
            if given := [label.values[each.name] for label in training if each.name in label.values]:
                values[each.name] = _most_common_items(given) if each.type == "list" else _best_constant(each, given)
        return FieldValues(values)

    def measures(self, answer: FieldValues | None, label: FieldValues) -> dict[str, float]:
        """Return the measures of ``metrics``; an answer that is missing or not valid lacks all fields."""
        return {
            "all_fields": float(answer is not None and self.similarity(answer, label) == 1),
            "json": float(answer is not None),
            "missing": float(len(self.fields) - len(answer.values if answer else ())),
            "extra": float(len(answer.extra if answer else ())),
        }

    def tables(self, images: Sequence[Compared], best: str) -> list[Table]:
        """Return the table by field: the mean similarity of each answerer, and the best model's faults."""
        names = list(dict.fromkeys(name for image in images for name in image.answers))
        if not images or best not in names:
            return []
        rows: list[list[str | int | float | None]] = []
        for each in self.fields:
            scores = [_mean(self._field_scores(each, images, name)) for name in names]
            answers = [image.answers.get(best) for image in images]
            problems = [answer.problems.get(each.name) for answer in answers if answer]
            missing = problems.count("is missing") + answers.count(None)
            invalid = len(problems) - problems.count("is missing") - problems.count(None)
            weight = int(each.weight) if each.weight % 1 == 0 else each.weight
            rows.append([each.name, each.type, weight, *scores, missing, invalid])
        extra = Counter(name for image in images if (answer := image.answers.get(best)) for name in answer.extra)
        others = ", ".join(f"{excerpt(name)} ({count})" for name, count in extra.most_common(5))
        note = f"Similarity 0-1, mean of the test images that have the field. Missing and invalid: answers of {best}."
        return [
            Table(
                title="Agreement by field",
                columns=["field", "type", "weight", *names, "missing", "invalid"],
                rows=rows,
                note=f"{note} Fields that the prompt does not have: {others}." if others else note,
            )
        ]

    def _field_scores(self, each: AnswerField, images: Sequence[Compared], name: str) -> list[float]:
        """Return the similarity of one field for each image that an answerer was asked about and whose label has it."""
        scores: list[float] = []
        for image in images:
            if name in image.answers and each.name in image.label.values:
                answer = image.answers[name]
                has_field = answer is not None and each.name in answer.values
                label = image.label.values[each.name]
                scores.append(each.similarity(answer.values[each.name], label) if answer and has_field else 0.0)
        return scores

    def parts(self, answer: FieldValues | None, label: FieldValues) -> list[Part]:
        """Return the values of each field; a list has a part for each item."""
        parts: list[Part] = []
        for each in self.fields:
            mine = answer.values.get(each.name) if answer else None
            theirs = label.values.get(each.name)
            if each.type == "list":
                parts += _parts_of_items(each.name, mine, theirs)
            elif mine is not None and theirs is not None and each.similarity(mine, theirs) == 1:
                parts.append(Part(shown(mine), "shared", each.name))
            else:
                parts += [Part(shown(theirs), "missed", each.name)] if theirs is not None else []
                parts += [Part(shown(mine), "extra", each.name)] if mine is not None else []
        return parts

    def columns(self) -> list[str]:
        """Return the names of the fields."""
        return [each.name for each in self.fields]

    def cells(self, value: FieldValues) -> list[str | int | float]:
        """Return the value of each field; empty if it is missing. Numbers stay numbers."""
        values = [value.values.get(each.name, "") for each in self.fields]
        return [content if is_number(content) else shown(content) for content in values]

    def text_of_cells(self, cells: Sequence[str]) -> str:
        """Return the JSON object that one cell for each field gives."""
        read = {each.name: each.read_cell(cell) for each, cell in zip(self.fields, cells, strict=True)}
        return _json({name: value for name, value in read.items() if value is not None})

    def json_value(self, value: FieldValues) -> JsonValue:
        """Return the fields as an object."""
        return {
            name: list(content) if isinstance(content, tuple) else content for name, content in value.values.items()
        }

    def form_inputs(self) -> list[FormInput]:
        """Return an input for each field."""
        return [each.form_input for each in self.fields]

    def form_contents(self, value: FieldValues) -> dict[str, list[str | int | float]]:
        """Return the items of lists and the value of each other field."""
        contents: dict[str, list[str | int | float]] = {}
        for name, content in value.values.items():
            if isinstance(content, tuple):
                contents[name] = list(content)
            else:
                contents[name] = [content] if is_number(content) else [shown(content)]
        return {name: content for name, content in contents.items() if content not in ([], [""])}

    def subjects(self, value: FieldValues) -> list[str]:
        """Return the items of lists and the values of fields with options."""
        types = {each.name: each.type for each in self.fields}
        contents = self.form_contents(value)
        items = [str(item) for name in contents if types[name] in ("list", "one of") for item in contents[name]]
        return list(dict.fromkeys(items))

    def description(self, value: FieldValues) -> str:
        """Return a line for each field that has a value, such as ``place: indoors``."""
        return "\n".join(f"{name}: {shown(value.values[name])}" for name in self.form_contents(value))

    def answer_tokens(self) -> tuple[int, int, int]:
        """Return the tokens of the names and the marks, with short, ordinary and long values."""
        names = sum(5 + math.ceil(len(each.name) / 4) for each in self.fields)
        values = [_tokens(each) for each in self.fields]
        low, expected, high = (sum(column) for column in zip(*values, strict=True))
        return names + low, names + expected, names + high


# Answers about one collection repeat the same values.
@lru_cache(maxsize=50_000)
def normalised(text: str) -> str:
    """Return ``text`` in NFKC and lower case, with one space for hyphens and spaces, without quotes and full stop."""
    words = unicodedata.normalize("NFKC", text).casefold().translate(_SPACES).split()
    return " ".join(words).strip(_ENDS) or " ".join(words) or text.strip()


def comparable(value: FieldValue) -> FieldValue:
    """Return a value that is equal for values that count as equal."""
    return normalised(value) if isinstance(value, str) else value


@lru_cache(maxsize=50_000)
def comparable_items(items: tuple[str, ...]) -> frozenset[str]:
    """Return the normalised items of a list, with the last word in the singular."""
    return frozenset(singular(normalised(item)) for item in items)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value is a number and not true or false, which Python counts as one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: FieldValue) -> str:
    """Return a value as text for a table; ``AnswerField.read_cell`` reads it."""
    if isinstance(value, tuple):
        is_plain = all(not _SEPARATOR.search(item) and item[0] not in '["' for item in value)
        return ", ".join(value) if is_plain else _json(value)
    return value if isinstance(value, str) else _json(value)


def _list_of_cell(cell: str) -> JsonValue:
    """Return the items of a cell: a JSON list, or items separated by commas, semicolons or line breaks."""
    if cell.lstrip().startswith("["):
        try:
            return json.loads(cell, strict=False)
        except (ValueError, RecursionError):
            return cell
    return [item.strip() for item in _SEPARATOR.split(cell) if item.strip()]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _said(value: Any) -> str:
    """Return a JSON value for a reason. Escaped characters in it may be invisible or half a surrogate pair."""
    try:
        return excerpt(clean_line(_json(value)))
    except RecursionError:
        return "a deeply nested value"


def _read_string(each: AnswerField, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) and not is_number(value):
        raise ValueError(f"is {_said(value)}, not a string")
    # Escapes in JSON can hide the characters that the text of an answer is cleaned of.
    return " ".join(clean_line(str(value)).split())


def _read_number(each: AnswerField, value: Any) -> int | float:
    text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
    if _NUMBER.fullmatch(text):
        value = float(text.replace(",", ""))
    elif _DECIMAL_COMMA.fullmatch(text):
        value = float(text.replace(",", "."))
    if not is_number(value) or not -_MAXIMUM_NUMBER <= value <= _MAXIMUM_NUMBER:
        raise ValueError(f"is {_said(value)}, not a number")
    return int(value) if value == int(value) else float(value)


def _read_boolean(each: AnswerField, value: Any) -> bool:
    read = _BOOLEANS.get(normalised(value)) if isinstance(value, str) else value
    if not isinstance(read, bool):
        raise ValueError(f"is {_said(value)}, not true or false")
    return read


def _read_option(each: AnswerField, value: Any) -> str:
    is_text = isinstance(value, str) or is_number(value)
    option = each._options.get(normalised(str(value))) if is_text else None
    if option is None:
        raise ValueError(f"is {_said(value)}, not one of {excerpt(', '.join(each.options))}")
    return option


def _read_list(each: AnswerField, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    items = _list_of_cell(value) if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError(f"is {_said(value)}, not a list of strings")
    texts = [text for item in items if (text := _read_string(each, item))]
    return tuple({singular(normalised(text)): text for text in reversed(texts)}.values())[::-1]


_READERS: Mapping[str, Callable[[AnswerField, Any], FieldValue]] = MappingProxyType(
    {
        "string": _read_string,
        "number": _read_number,
        "boolean": _read_boolean,
        "one of": _read_option,
        "list": _read_list,
    }
)


def _agreed(each: AnswerField, given: Sequence[FieldValue], votes: int) -> FieldValue | None:
    """Return the value that at least ``votes`` answers have, or of a list the items that as many have."""
    if each.type == "list":
        spellings: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for items in given:
            for item in items if isinstance(items, tuple) else ():
                spellings.setdefault(singular(normalised(item)), item)
                counts[singular(normalised(item))] += 1
        agreed = tuple(spellings[item] for item, count in counts.most_common() if count >= votes)
        return agreed if agreed or given.count(()) >= votes else None
    best = _best_constant(each, given)
    return best if sum(each.similarity(best, other) for other in given) >= votes else None


def _best_constant(each: AnswerField, given: Sequence[FieldValue]) -> FieldValue:
    """Return the value that equals most of the given ones; the first of several."""
    counts = Counter(map(comparable, given))
    spellings = {comparable(value): value for value in reversed(given)}
    support = _within_tolerance(each, counts) if each.tolerance else counts
    return spellings[max(counts, key=lambda value: support[value])]


def _within_tolerance(each: AnswerField, counts: Mapping[FieldValue, int]) -> dict[FieldValue, int]:
    """Return the number of given values that equal each number; the time is that of sorting."""
    ranked = sorted(counts, key=lambda value: float(value))  # type: ignore[arg-type]
    before = [0, *accumulate(counts[value] for value in ranked)]
    support: dict[FieldValue, int] = {}
    low = high = 0
    for value in ranked:
        while not each.similarity(value, ranked[low]):
            low += 1
        while high < len(ranked) and (high <= low or each.similarity(value, ranked[high])):
            high += 1
        support[value] = before[high] - before[low]
    return support


def _most_common_items(given: Sequence[FieldValue]) -> tuple[str, ...]:
    """Return the most common items of lists; as many as the median list has."""
    lists = [comparable_items(items) for items in given if isinstance(items, tuple)]
    counts = Counter(item for items in lists for item in sorted(items))
    length = round(statistics.median(map(len, lists)))
    return tuple(sorted(counts, key=lambda item: (-counts[item], item))[:length])


def _parts_of_items(name: str, mine: FieldValue | None, theirs: FieldValue | None) -> list[Part]:
    ours = {singular(normalised(item)): item for item in mine} if isinstance(mine, tuple) else {}
    label = {singular(normalised(item)): item for item in theirs} if isinstance(theirs, tuple) else {}
    parts = [Part(text, "shared" if item in ours else "missed", name) for item, text in label.items()]
    return parts + [Part(text, "extra", name) for item, text in ours.items() if item not in label]


def _mean(scores: Sequence[float]) -> float | None:
    return round(statistics.fmean(scores), 3) if scores else None


def _first_problems(problems: Mapping[str, str]) -> str:
    shown_problems = [f"{name!r} {problem}" for name, problem in list(problems.items())[:3]]
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return ", ".join(shown_problems) + more


def _tokens(each: AnswerField) -> tuple[int, int, int]:
    """Return the low, expected and high number of tokens of a value."""
    if each.type == "one of":
        sizes = sorted(math.ceil(len(option) / 4) for option in each.options)
        return sizes[0], round(statistics.median(sizes)), sizes[-1]
    return {"string": (2, 7, 30), "number": (1, 2, 5), "boolean": (1, 1, 1), "list": (5, 15, 60)}[each.type]
