"""What the checks of one record found wrong with it, and what they saw on the way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from distillation.models.catalog import Family

_SHOWN = 80

Place: TypeAlias = tuple[str | int, ...]


class Source(NamedTuple):
    """Where a medium lies."""

    place: Place
    format: str
    bucket: str


@dataclass(slots=True)
class RecordScan:
    """Filled while a record is read once; what spans records is judged from it afterwards."""

    family: Family
    """Whose rules hold."""
    place: Place = ()
    """Where in the record the reading is."""
    role: str = "system"
    """Whose text is being read: ``system``, ``user`` or ``assistant``."""
    findings: list[tuple[str, str, str]] = field(default_factory=list)
    """Rule, field, fact."""
    missing: list[str] = field(default_factory=list)
    """Rules of fields that may be left out and were."""
    content: list[str] = field(default_factory=list)
    """All texts and URIs in their order."""
    places: list[Place] = field(default_factory=list)
    """Where each of them was read."""
    question_length: int = 0
    """How many of them come before the last message, which is the answer."""
    media: list[str] = field(default_factory=list)
    """``image``, ``video`` or ``document``, one entry for each."""
    sources: dict[int, Source] = field(default_factory=dict)
    """Of each of them whose URI is one, by the position of that in the content."""
    tools: frozenset[str] | None = None
    """Names that toolConfig gives; None without a toolConfig."""
    tool_uses: dict[str, bool] = field(default_factory=dict)
    """Ids of toolUse so far, and whether each has its result."""

    def report(self, rule: str, fact: str, *inner: str | int) -> None:
        """Note that a rule is broken at the present place, or at one inside it."""
        self.report_at(self.place, rule, fact, *inner)

    def report_at(self, place: Place, rule: str, fact: str, *inner: str | int) -> None:
        """Note that a rule is broken at a place, or at one inside it."""
        self.findings.append((rule, ".".join(map(str, (*place, *inner))) or "line", fact))


def shorten(value: Any) -> str:
    """Return a value as JSON, on one line, cut to what a person reads."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
