"""Parquet files as data sets on Hugging Face have them, and others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli import parquet
from cli.console import CommandError, NotReachable
from cli.parquet import parquet_photos
from cli.photo_files import Damaged
from cli.upload import open_photos, upload_photos
from tests.support.fakes import bucket

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def parquet_file(path: Path, rows_per_group: int = 2, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_per_group)
    return path


def images(*rows: tuple[bytes | None, str | None] | None) -> Any:
    return pa.array([row and {"bytes": row[0], "path": row[1]} for row in rows], IMAGE)


def content(path: Path) -> dict[str, Any]:
    files = open_photos(path)
    return dict(files.read(files.photos))


def test_photos_have_the_names_of_their_paths(tmp_path: Path) -> None:
    column = images((b"one", "1.jpg"), (b"two", "/data/x/2.png"), (b"three", None), (b"four", "..\\..\\4.jpg"))
    path = parquet_file(tmp_path / "train-0.parquet", label=[0, 1, 0, 1], image=column)

    assert content(path) == {"1.jpg": b"one", "2.png": b"two", "train-0-000002": b"three", "4.jpg": b"four"}


def test_a_name_of_several_rows_is_replaced_by_that_of_the_row(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", image=images((b"one", "x/1.jpg"), (b"two", "y/1.jpg"), (b"3", "..")))

    assert content(path) == {"a-000000.jpg": b"one", "a-000001.jpg": b"two", "a-000002": b"3"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
def test_a_column_of_bytes_is_one_of_images(kind: Any, tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", photo=pa.array([b"one", b"two"], kind), caption=["a", "b"])

    assert content(path) == {"a-000000": b"one", "a-000001": b"two"}


def test_a_row_without_bytes_is_damaged_and_does_not_stop_the_others(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", image=images((None, "1.jpg"), None, (b"three", "3.jpg")))
    read = content(path)

    assert isinstance(read["1.jpg"], Damaged)
    assert isinstance(read["a-000001"], Damaged)
    assert read["3.jpg"] == b"three"


def test_a_photo_that_is_too_large_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAXIMUM_BYTES", 10)
    path = parquet_file(tmp_path / "a.parquet", image=images((bytes(11), "1.jpg"), (bytes(10), "2.jpg")))
    read = content(path)

    assert read["1.jpg"].reason.startswith("11 bytes, more than the maximum of 10")
    assert read["2.jpg"] == bytes(10)


def test_of_several_columns_the_one_named_image_is_read(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", mask=images((b"m", "m.png")), image=images((b"one", "1.jpg")))
    assert content(path) == {"1.jpg": b"one"}

    path = parquet_file(tmp_path / "b.parquet", mask=images((b"m", "m.png")), photo=images((b"one", "1.jpg")))
    with pytest.raises(CommandError, match=r"2 columns of image bytes\. Name one of them image"):
        parquet_photos(path)
    with pytest.raises(CommandError, match=r"no column of image bytes.*text \(string\)"):
        parquet_photos(parquet_file(tmp_path / "c.parquet", text=["a"]))


def test_row_whose_name_is_not_that_of_a_photo_is_skipped(tmp_path: Path) -> None:
    files = parquet_photos(parquet_file(tmp_path / "a.parquet", image=images((b"x", "1.jpg"), (b"x", "film.mp4"))))

    assert (list(files.photos), files.skipped) == (["1.jpg"], ["video"])


@pytest.mark.parametrize("damage", ["truncated", "header only", "middle"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", image=images(*((bytes([n]) * 5000, f"{n}.jpg") for n in range(9))))
    data = bytearray(path.read_bytes())
    if damage == "middle":
        data[4 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4)
    path.write_bytes({"truncated": data[:-9], "header only": data[:4], "middle": data}[damage])
    with pytest.raises(CommandError, match="cannot be read"):
        content(path)


def test_rows_are_read_one_at_a_time_because_a_small_page_may_have_many_large_ones(tmp_path: Path) -> None:
    rows = 400
    path = parquet_file(tmp_path / "a.parquet", rows, image=pa.array([bytes(1 << 20)] * rows, pa.binary()))
    assert path.stat().st_size < 4 << 20
    before = pa.total_allocated_bytes()
    files = parquet_photos(path)
    peak = max(pa.total_allocated_bytes() - before for _ in files.read(files.photos))

    assert peak < 64 << 20


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAXIMUM_MEMBERS", 2)
    with pytest.raises(CommandError, match="3 rows, more than 2"):
        parquet_photos(parquet_file(tmp_path / "a.parquet", image=images(*[(b"x", None)] * 3)))


def test_rows_that_cannot_be_uploaded_are_named_in_one_sentence_and_the_others_counted(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", image=images(*[(None, f"{row}.jpg") for row in range(9)]))
    stage: Any = SimpleNamespace(name="dev", photos=bucket())
    with pytest.raises(NotReachable) as error:
        upload_photos(path, "x/", stage, shrink=False, as_json=True)

    text = str(error.value)
    assert text.startswith("9 of 9 files could not be uploaded: x/")
    assert ".." not in text
    assert text.endswith(f"; and {9 - text.count('its row')} more. Run the command again to upload the rest.")
