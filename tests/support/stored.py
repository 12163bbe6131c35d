"""Read stored JSON as plain values, so that a test compares what is in the file, not what a model makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from distillation.storage import Bucket


def read_json(bucket: Bucket, key: str) -> Any:
    """Return an object parsed as JSON."""
    return json.loads(bucket.read(key))


def read_lines(bucket: Bucket, key: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON Lines object."""
    for line in bucket.iter_lines(key):
        yield json.loads(line)
