"""Output of the commands: results as lines or JSON on standard output, errors on standard error.

Lines have no invisible characters, such as those that move the cursor of a terminal. JSON has them as escapes.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distillation.plain_text import clean, clean_line, escape_json

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
    _write_line(clean(text))


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
    sys.stderr.write(f"{clean(text)}\n")


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_json(value: Any, indent: int | None = 1) -> None:
    """Print a value as JSON, by default indented; on one line if ``indent`` is None."""
    _write_line(escape_json(json.dumps(value, indent=indent, ensure_ascii=False)))


def print_document(document: BaseModel) -> None:
    """Print a document as JSON for other programs."""
    print_json(document.model_dump(mode="json"))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, of which the first is the header, as aligned columns.

    On a terminal that is too narrow for them, print each row as lines of a column's name and its value.
    """
    table = format_table(rows)
    if is_terminal() and max(map(len, table.splitlines())) > shutil.get_terminal_size().columns:
        header, *others = rows
        for row in others:
            print_line(format_table([(name, cell) for name, cell in zip(header, row, strict=True) if cell]) + "\n")
    else:
        print_line(table)


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts as aligned columns, each row on one line."""
    rows = [[clean_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 error`` or ``2,000 errors``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _write_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
