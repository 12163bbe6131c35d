from __future__ import annotations

from pathlib import Path

import pytest

from cli.report import FILES, fetch
from lambdas.shared.objects import ObjectMissing
from tests.support.stores import bucket


def test_report_is_fetched_whole(tmp_path: Path) -> None:
    data = bucket(**{f"runs/r/report/{name}": name.encode() for name in FILES})

    assert fetch(data, "r", tmp_path / "out").read_bytes() == b"report.html"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def test_report_that_is_not_there_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="runs/r/report"):
        fetch(bucket(**{"runs/r/report/report.json": b"{}"}), "r", tmp_path / "out")
    assert not (tmp_path / "out").exists()
