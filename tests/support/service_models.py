"""Service models of botocore, which a process of tests parses once instead of once for each boto3 session."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import JSONFileLoader

_load_file = JSONFileLoader.load_file


@cache
def _parsed(path: str) -> Any:
    return _load_file(JSONFileLoader(), path)


def parse_once() -> None:
    """Make all boto3 sessions of this process share the parsed files. No session changes them."""
    JSONFileLoader.load_file = lambda self, file_path: _parsed(file_path)
