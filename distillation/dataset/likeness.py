"""Read lines that are like one read before: the same to the letter but for some texts and URIs.

Most datasets consist of nothing else, and what is the same need not be parsed and checked again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from distillation.dataset.record import check_length, check_record, check_text, check_uri, role_at
from distillation.dataset.record_scan import Place, RecordScan

_KINDS = 4
_CREDIT = 16
"""How many lines are learnt from in vain before that is given up."""
_DECODER = json.JSONDecoder()


class Slot(NamedTuple):
    """A string in which lines differ."""

    position: int
    """Where it is in the content."""
    place: Place
    role: str
    format: str | None
    """Format of the medium whose URI it is; None for a text."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What lines have in common: the text around the strings in which they differ."""

    head: str
    separators: tuple[str, ...]
    tail: str
    """Text before the first of those strings, between each two, and after the last."""
    slots: tuple[Slot, ...]
    """Those strings, as they follow each other in the content."""
    order: tuple[int, ...]
    """Of each slot, its place among the strings of the text."""
    first: RecordScan
    """What was seen in the first of the lines, which breaks no rule."""

    def read(self, text: str) -> RecordScan | None:
        """Return what ``check_record`` would see in a line; None if the line is not like the first one."""
        if not (text.startswith(self.head) and text.endswith(self.tail)):
            return None
        rest = text[len(self.head) : len(text) - len(self.tail)]
        values: list[str] = []
        # A separator holds quotation marks, which inside a string are escaped: its first occurrence is the right one.
        for separator in self.separators:
            literal, _, rest = rest.partition(separator)
            values.append(_string(literal))
        values.append(_string(rest))
        return self._seen(values) if all(values) else None

    def _seen(self, values: list[str]) -> RecordScan:
        first = self.first
        seen = RecordScan(first.family, missing=first.missing, media=first.media, question_length=first.question_length)
        seen.content = first.content.copy()
        for (position, place, role, format), index in zip(self.slots, self.order, strict=True):
            value = seen.content[position] = values[index]
            seen.place, seen.role = place, role
            if format is None:
                check_text(value, seen)
            else:
                check_uri(value, position, format, seen)
        seen.place = first.place
        check_length(seen)
        return seen


class Likenesses:
    """The last few kinds of lines that a file was found to hold."""

    def __init__(self) -> None:
        self._known: list[Likeness] = []
        self._parsed: dict[int, RecordScan] = {}
        self._credit = _CREDIT

    def read(self, text: str) -> RecordScan | None:
        """Return what is seen in a line that is like one before; None for any other."""
        for place, like in enumerate(self._known):
            if seen := like.read(text):
                self._credit = min(_CREDIT, self._credit + 1)
                if place:
                    self._known.insert(0, self._known.pop(place))
                return seen
        return None

    def learn(self, text: str, seen: RecordScan) -> None:
        """Take a line that was parsed as the first of its kind, unless nothing came of doing so lately."""
        if self._credit == 0:
            return
        self._credit -= 1
        like = likeness(text, seen, self._parsed.get(len(seen.content)))
        self._parsed[len(seen.content)] = seen
        if like:
            self._known = [like, *self._known[: _KINDS - 1]]


def likeness(text: str, seen: RecordScan, before: RecordScan | None) -> Likeness | None:
    """Return what later lines may have in common with one; None for a line with problems, or of an odd form.

    They may differ in URIs, in the answer, and wherever the line differs from the parsed one ``before`` it.
    """
    if seen.findings or not seen.content:
        return None
    varying = {*seen.sources, len(seen.content) - 1}
    if before and len(before.content) == len(seen.content):
        varying |= {index for index, one in enumerate(seen.content) if one != before.content[index]}
    like = _cut(text, seen, varying)
    return like if like and _is_sound(like) else None


def _cut(text: str, seen: RecordScan, varying: set[int]) -> Likeness | None:
    spans = []
    for index in varying:
        literals = {json.dumps(seen.content[index]), json.dumps(seen.content[index], ensure_ascii=False)}
        found = [literal for literal in literals if text.count(literal) == 1]
        if len(found) != 1:
            return None
        start = text.index(found[0])
        spans.append((start, start + len(found[0]), index))
    starts, ends, positions = zip(*sorted(spans), strict=True)
    separators = tuple(text[end:start] for end, start in zip(ends[:-1], starts[1:], strict=True))
    in_content = sorted(positions)
    slots = tuple(_slot(position, seen) for position in in_content)
    order = tuple(positions.index(position) for position in in_content)
    return Likeness(text[: starts[0]], separators, text[ends[-1] :], slots, order, seen)


def _slot(index: int, seen: RecordScan) -> Slot:
    place, source = seen.places[index], seen.sources.get(index)
    return Slot(index, place, role_at(place), source.format if source else None)


def _is_sound(like: Likeness) -> bool:
    """Tell whether what is to vary really is the content, and not a text elsewhere that equals it."""
    values = {
        one.position: f"s3://bucket/{one.position}" if one.format else f"varied {one.position}" for one in like.slots
    }
    literals = {index: json.dumps(values[one.position]) for one, index in zip(like.slots, like.order, strict=True)}
    varied = like.head + literals[0]
    for index, separator in enumerate(like.separators, start=1):
        varied += separator + literals[index]
    expected = [values.get(index, content) for index, content in enumerate(like.first.content)]
    return check_record(json.loads(varied + like.tail), like.first.family).content == expected


def _string(literal: str) -> str:
    """Return the text of a JSON string that is nothing but that; nothing for an empty one, which is to be judged."""
    try:
        text, end = _DECODER.raw_decode(literal) if literal[:1] == '"' else ("", -1)
    except ValueError:
        return ""
    return text if end == len(literal) else ""
