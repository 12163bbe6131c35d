"""Output of the commands: results as lines or JSON on standard output, errors on standard error."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel


class CommandError(Exception):
    """A command cannot run as requested. The message says why and what to change."""

    exit_code = 2
    """Exit code of the command."""


class NotReachable(CommandError):
    """AWS, the stage or a part of the stage cannot be reached or does not exist. The message says what to do."""

    exit_code = 3


def print_line(text: str) -> None:
    """Print a line to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_wrapped(text: str) -> None:
    """Print a paragraph. On a terminal, wrap it at word boundaries."""
    if not is_terminal():
        print_line(text)
        return
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    width = shutil.get_terminal_size().columns
    print_line(textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def print_to_stderr(text: str) -> None:
    """Print a line to standard error, which keeps standard output clean for pipes."""
    sys.stderr.write(f"{text}\n")


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print_line(json.dumps(value, indent=1, ensure_ascii=False))


def print_document(document: BaseModel) -> None:
    """Print a document as JSON for other programs."""
    print_json(document.model_dump(mode="json"))


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
