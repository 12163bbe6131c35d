"""Groups of tests that pytest-xdist runs in one process, because what they share starts slowly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


def mark_groups(
    items: Iterable[pytest.Item], folder: Path, group_of: Callable[[pytest.Item], str], fixtures: Iterable[str] = ()
) -> None:
    """Mark each test below ``folder`` with its group; with ``fixtures``, only the tests that use one of them.

    Call it in ``pytest_collection_modifyitems`` with ``tryfirst=True``: pytest-xdist reads the marks in a hook of the
    same name.
    """
    wanted = set(fixtures)
    for item in items:
        is_wanted = not wanted or not wanted.isdisjoint(getattr(item, "fixturenames", ()))
        if is_wanted and folder in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(group_of(item)))
