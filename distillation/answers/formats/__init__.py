"""Answer formats: one module per format, and one entry in ``FORMATS``.

A prompt file names its format in ``[answers]``. All code that reads answers goes through ``format_of``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import JsonValue

from distillation.answers.formats.base import Format
from distillation.answers.formats.caption import Caption
from distillation.answers.formats.class_label import ClassLabel
from distillation.answers.formats.fields import Fields
from distillation.answers.formats.keywords import Keywords
from distillation.errors import InvalidRequest, excerpt
from distillation.records import Run, parse

__all__ = ["FORMATS", "ClassLabel", "Fields", "Format", "Keywords", "format_of", "parse_format"]

FORMATS: Mapping[str, type[Format]] = MappingProxyType(
    {"keywords": Keywords, "class": ClassLabel, "fields": Fields, "caption": Caption}
)
"""Formats keyed by the name that a prompt file gives."""


def parse_format(answers: Mapping[str, JsonValue], source: str) -> Format:
    """Return the format that ``answers`` describes: ``format``, its name, and its settings.

    ``source`` names the input in the message. Raises ``InvalidRequest`` that names each wrong setting.
    """
    name = answers.get("format", "keywords")
    kind = FORMATS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidRequest(f"{source}: unknown answer format {excerpt(name)!r} (known: {', '.join(FORMATS)})")
    return parse(kind, dict(answers), source)


_LARGEST_CACHE = 16
_FORMATS_OF_RUNS: dict[int, tuple[Mapping[str, JsonValue], Format]] = {}
"""Formats with the settings that they were made of, keyed by the settings' identity.

Each answer asks for the format of its run, and checking a vocabulary of 5,000 terms takes about a second.
"""


def format_of(run: Run) -> Format:
    """Return the answer format of a run."""
    answers = run.answers
    known = _FORMATS_OF_RUNS.get(id(answers))
    if known is None:
        known = answers, parse_format(answers, f"answer format of run {run.name}")
        if len(_FORMATS_OF_RUNS) >= _LARGEST_CACHE:
            _FORMATS_OF_RUNS.clear()
        _FORMATS_OF_RUNS[id(answers)] = known
    return known[1]
