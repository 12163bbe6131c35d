"""Receipt of ``make verify-aws``: what each check found, without anything that identifies the account.

A receipt has no account number, ARN, S3 location, address, and no name of a bucket, run, model or user. ``Redactor``
replaces them; ``Receipt`` refuses text that still has one of them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

RECEIPTS = Path(__file__).with_name("receipts")
"""Folder of the receipts that the table in docs/local-vs-aws.md counts."""

_PRIVATE = {
    "<arn>": re.compile(r"arn:aws[^\s\"'`,;)\]}]*", re.IGNORECASE),
    "<s3 location>": re.compile(r"s3://[^\s\"'`,;)\]}]*", re.IGNORECASE),
    "<url>": re.compile(r"https?://[^\s\"'`,;)\]}]*", re.IGNORECASE),
    "<email>": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "<id>": re.compile(
        r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}"
        r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        re.IGNORECASE,
    ),
    "<number>": re.compile(r"\d{4}-\d{4}-\d{4}|\d{12,}"),
    "<stack>": re.compile(r"\bdistill-[\w-]+", re.IGNORECASE),
}
"""Patterns of private text, keyed by the text that replaces them, in the order in which they are replaced."""
_SHORT_NAME = 6
"""Names with fewer characters are replaced as whole words only: they may be part of ordinary words."""
_MAXIMUM_LENGTH = 1000
"""Longest observation in characters."""


class Redactor:
    """Replaces the names of an account's resources, and whatever looks like an account number, an ARN or an address."""

    def __init__(self, names: Iterable[str]) -> None:
        longest_first = sorted({name for name in names if name}, key=len, reverse=True)
        patterns = [
            re.escape(name) if len(name) >= _SHORT_NAME else rf"(?<![\w-]){re.escape(name)}(?![\w-])"
            for name in longest_first
        ]
        self._names = re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """Return the text without private parts, in one line of at most 1,000 characters."""
        text = " ".join(text.split())
        # A replacement can end a word, so that another pattern matches only after it.
        while (redacted := self._replace(text)) != text:
            text = redacted
        return text[:_MAXIMUM_LENGTH]

    def _replace(self, text: str) -> str:
        text = self._names.sub("<name>", text)
        for replacement, pattern in _PRIVATE.items():
            text = pattern.sub(replacement, text)
        return text


class Outcome(BaseModel):
    """Result of one check."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Literal["confirmed", "refuted", "error"]
    """``error`` if the check could not tell, such as for a missing permission."""
    observation: str
    """Observation, without private parts."""

    @field_validator("observation")
    @classmethod
    def _has_nothing_private(cls, text: str) -> str:
        return _check_text(text)


class Receipt(BaseModel):
    """Outcomes of one ``make verify-aws``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    date: datetime.date
    """Day in UTC."""
    region: str
    code: str
    """First ten digits of the SHA-256 of the deployed files."""
    teacher: str
    """Model id of the teacher."""
    student: str
    """Model id of the student."""
    checks: dict[str, Outcome]
    """Outcomes, keyed by the name of the check. Checks that did not run are missing."""
    problem: str = ""
    """Why the paid checks did not all run; empty if they did, or if they were declined."""

    @field_validator("region", "code", "teacher", "student", "problem")
    @classmethod
    def _has_nothing_private(cls, text: str) -> str:
        return _check_text(text)


def read_receipts(folder: Path = RECEIPTS) -> list[Receipt]:
    """Return the receipts of a folder, oldest first. Raises ``ValueError`` for an invalid one or private text."""
    receipts = [Receipt.model_validate_json(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return sorted(receipts, key=lambda receipt: receipt.date)


def _check_text(text: str) -> str:
    for replacement, pattern in _PRIVATE.items():
        if pattern.search(text):
            raise ValueError(f"{text!r} has private text: write {replacement} instead")
    return text
