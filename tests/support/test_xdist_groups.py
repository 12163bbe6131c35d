from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.xdist_groups import mark_groups

FOLDER = Path("/tests/infra")


class ItemStub:
    """A collected test with its path, its fixtures and the groups that it was marked with."""

    def __init__(self, path: str, *fixturenames: str) -> None:
        self.path, self.fixturenames = Path(path), fixturenames
        self.groups: list[str] = []

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        assert mark.name == "xdist_group"
        self.groups += mark.args


def groups_of(*items: ItemStub, fixtures: tuple[str, ...] = ()) -> list[list[str]]:
    tests: Any = items
    mark_groups(tests, FOLDER, lambda item: item.path.stem, fixtures)
    return [item.groups for item in items]


def test_tests_below_the_folder_are_marked_with_their_group_and_no_others() -> None:
    own, nested, other = (ItemStub(f"/tests/{path}.py") for path in ("infra/test_a", "infra/b/test_c", "cli/test_d"))

    assert groups_of(own, nested, other) == [["test_a"], ["test_c"], []]


def test_only_tests_that_use_a_named_fixture_are_marked() -> None:
    user, other = ItemStub("/tests/infra/test_a.py", "tmp_path", "stacks"), ItemStub("/tests/infra/test_b.py", "pair")

    assert groups_of(user, other, fixtures=("stacks", "configured")) == [["test_a"], []]
