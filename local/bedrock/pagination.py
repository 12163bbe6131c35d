"""Filters, sort order and pages of the List operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.utils import parse_to_aware_datetime

from local.bedrock.protocol import BedrockError
from local.bedrock.service import Entry

_PAGE_SIZE = 10
"""Entries on a page by default; it is small so that callers have to follow ``nextToken``."""


@dataclass(frozen=True)
class Members:
    """Names of the members of an entry that List operations filter and sort by."""

    arn: str
    name: str
    created: str
    status: str
    filters: tuple[tuple[str, str], ...] = ()
    """Pairs of a request parameter and the member that it must equal."""


def page(entries: Iterable[Entry], members: Members, values: dict[str, Any]) -> tuple[list[Entry], dict[str, str]]:
    """Return the entries of one page, and a dict with ``nextToken`` if more follow; raise BedrockError."""
    newest_first = values.get("sortOrder", "Descending") == "Descending"
    matching = sorted(
        (entry for entry in entries if _matches(entry, members, values)),
        key=lambda entry: (entry[members.created], entry[members.arn]),
        reverse=newest_first,
    )
    start = 0
    if "nextToken" in values:
        arns = [entry[members.arn] for entry in matching]
        if values["nextToken"] not in arns:
            raise BedrockError("ValidationException", "The nextToken is not valid.")
        start = arns.index(values["nextToken"])
    end = start + values.get("maxResults", _PAGE_SIZE)
    next_token = {"nextToken": matching[end][members.arn]} if end < len(matching) else {}
    return matching[start:end], next_token


def _matches(entry: Entry, members: Members, values: dict[str, Any]) -> bool:
    created = parse_to_aware_datetime(entry[members.created])
    equal = (*members.filters, ("statusEquals", members.status), ("modelStatus", members.status))
    return (
        values.get("nameContains", "") in entry[members.name]
        and all(values.get(parameter, entry.get(member)) == entry.get(member) for parameter, member in equal)
        and all(created < values[name] for name in ("createdBefore", "creationTimeBefore") if name in values)
        and all(created > values[name] for name in ("createdAfter", "creationTimeAfter") if name in values)
    )
