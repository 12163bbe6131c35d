"""Findings and content of one training record, collected while its checks run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from distillation.errors import excerpt
from distillation.models.model import Family

RecordPath: TypeAlias = tuple[str | int, ...]
"""Position in a record as keys and indexes, for example ``("messages", 0, "content", 1)``."""


class Finding(NamedTuple):
    """A rule that a record breaks."""

    rule: str
    field: str
    """Dotted path in the record, for example ``messages.0.content.1``."""
    description: str


@dataclass(slots=True)
class RecordScan:
    """Result of checking one record. The rules across records read it afterwards."""

    family: Family
    """Model family whose rules apply."""
    path: RecordPath = ()
    """Current position of the checks."""
    role: str = "system"
    """Author of the current text: ``system``, ``user`` or ``assistant``."""
    findings: list[Finding] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Rules about optional fields that the record omits, one entry for each omission."""
    tolerated: dict[tuple[str, RecordPath], Finding] = field(default_factory=dict)
    """Findings that AWS's validators let pass: the first one for each rule and object.

    The path of the object has ``*`` for indexes. Such a finding is usually in every record of a dataset, so the
    validator reports it once.
    """
    content: list[str] = field(default_factory=list)
    """All texts and media URIs in the order of the record."""
    answer_start: int = 0
    """Index in ``content`` of the first item of the last message, which is the answer."""
    media: dict[str, int] = field(default_factory=dict)
    """Number of media, keyed by ``image``, ``video`` or ``document``."""
    sources: list[tuple[RecordPath, str]] = field(default_factory=list)
    """Path and bucket of each medium with a valid S3 URI."""
    tools: frozenset[str] | None = None
    """Tool names defined by ``toolConfig``; None without ``toolConfig``."""
    tool_uses: dict[str, bool] = field(default_factory=dict)
    """Whether a toolUse already has its toolResult, keyed by toolUseId."""

    def report(self, rule: str, description: str, *inner: str | int) -> None:
        """Add a finding at the current path, or at a path inside it."""
        self.report_at(self.path, rule, description, *inner)

    def report_at(self, path: RecordPath, rule: str, description: str, *inner: str | int) -> None:
        """Add a finding at a path, or at a path inside it."""
        self.findings.append(Finding(rule, _dotted((*path, *inner)), description))

    def tolerate(self, rule: str, description: str, *inner: str | int) -> None:
        """Add a finding that AWS's validators let pass, about a field at the current path or inside it."""
        path = (*self.path, *inner)
        owner = tuple("*" if isinstance(part, int) else part for part in path[:-1])
        self.tolerated.setdefault((rule, owner), Finding(rule, _dotted(path), description))


def _dotted(path: RecordPath) -> str:
    return ".".join(excerpt(part) for part in path) or "line"


def shorten(value: Any) -> str:
    """Return a value as JSON on one line, at most 200 characters."""
    return excerpt(json.dumps(value))
