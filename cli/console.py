"""What the commands say: plain lines and JSON to standard output, what is wrong to standard error."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any


class Refused(Exception):
    """What was asked cannot be done as asked; the message says why and what to change."""

    exit_code = 2


class Unreachable(Refused):
    """AWS, the stage or something in it is not there for this caller; the message says what to do."""

    exit_code = 3


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_wrapped(text: str) -> None:
    """Print a paragraph; on a terminal without breaking words at its edge."""
    if not on_a_terminal():
        say(text)
        return
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    width = shutil.get_terminal_size().columns
    say(textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def warn(text: str) -> None:
    """Print a line to standard error, beside whatever is piped on."""
    sys.stderr.write(f"{text}\n")


def on_a_terminal() -> bool:
    """Tell whether standard output is a terminal, on which lines may be rewritten."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    """Print a value for other programs."""
    say(json.dumps(value, indent=1, ensure_ascii=False))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows of texts out in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
