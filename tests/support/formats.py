"""One example of each answer format, and labels of a few kinds of photos in it."""

from __future__ import annotations

import json
from typing import Any

from distillation.answers.formats import Format, parse_format

_SETTINGS: dict[str, dict[str, Any]] = {
    "keywords": {},
    "class": {"labels": ["people", "animals", "food, drink", "street art"]},
    "fields": {
        "fields": [
            {"name": "subject", "type": "string", "weight": 2},
            {"name": "place", "type": "one of", "options": ["indoors", "outdoors", "under water"]},
            {"name": "colours", "type": "list"},
            {"name": "people", "type": "number", "tolerance": 1},
            {"name": "is_portrait", "type": "boolean"},
        ]
    },
    "caption": {},
}
EXAMPLES: dict[str, Format] = {
    name: parse_format({"format": name, **settings}, name) for name, settings in _SETTINGS.items()
}
"""Formats keyed by name."""


def _fields(subject: str, place: str, colours: list[str], people: int, is_portrait: bool) -> str:
    names = ("subject", "place", "colours", "people", "is_portrait")
    return json.dumps(dict(zip(names, (subject, place, colours, people, is_portrait), strict=True)))


LABELS: dict[str, list[str]] = {
    "keywords": [
        "smiling woman, portrait, studio, hat",
        "brown dog, beach, sea, summer",
        "soup, bowl, table, breakfast",
        "painted wall, street, city, graffiti",
    ],
    "class": ["people", "animals", "food, drink", "street art"],
    "fields": [
        _fields("smiling woman", "indoors", ["red", "white"], 1, True),
        _fields("dog on a beach", "outdoors", ["blue", "brown"], 0, False),
        _fields("bowl of soup", "indoors", ["green"], 0, False),
        _fields("painted wall", "outdoors", ["pink", "black"], 3, False),
    ],
    "caption": [
        "A smiling woman with a red hat looks into the camera in a studio.",
        "The brown dog runs along the beach beside the blue sea in summer.",
        "On a wooden table stands a bowl of green soup for breakfast.",
        "Three friends walk past a painted wall in a busy city street.",
    ],
}
"""Labels of four kinds of photos, keyed by format."""
