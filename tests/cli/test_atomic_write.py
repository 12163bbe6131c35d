from __future__ import annotations

from pathlib import Path

import pytest

from cli.atomic_write import write_file


def test_file_is_written_into_new_folders(tmp_path: Path) -> None:
    path = tmp_path / "a/b/c.txt"

    assert write_file(path, b"x") == path
    assert path.read_bytes() == b"x"
    assert [each.name for each in path.parent.iterdir()] == ["c.txt"]


def test_existing_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_bytes(b"x")
    path.chmod(0o640)
    write_file(path, b"y")

    assert path.read_bytes() == b"y"
    assert path.stat().st_mode & 0o777 == 0o640


def test_interrupted_write_leaves_the_existing_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.txt"
    path.write_bytes(b"x")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, b"y")
    assert path.read_bytes() == b"x"
    assert [each.name for each in tmp_path.iterdir()] == ["c.txt"]
