"""Photos of a Parquet file with a column of image bytes, as data sets on Hugging Face have it.

Source: https://huggingface.co/docs/datasets/image_dataset. An image is a struct of ``bytes`` and ``path``, or the
bytes themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cli.archives import MAXIMUM_MEMBERS
from cli.console import CommandError
from cli.photo_files import Body, Damaged, PhotoFiles, archived_photos
from distillation.errors import excerpt
from distillation.photos.resizer import MAXIMUM_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

_PATHS_AT_ONCE = 16
_PREFERRED = "image"
_BUFFER_BYTES = 1 << 20
"""Size of the pieces in which columns are read, in bytes."""


def parquet_photos(path: Path) -> PhotoFiles:
    """Return the photos of a Parquet file. Raises ``CommandError`` if it cannot be read, or has no photos.

    A photo has the name in its ``path``, if it is the only one with that name, else that of the file and its row.
    """
    with _open(path) as file:
        column, has_paths = _image_column(path, file.schema_arrow)
        rows = file.metadata.num_rows
        if rows > MAXIMUM_MEMBERS:
            raise CommandError(f"{path} has {rows:,} rows, more than {MAXIMUM_MEMBERS:,}. Divide it.")
        paths = list(_paths(path, file, column)) if has_paths else [None] * rows
    names = _names(path, paths)
    # The sizes are in the column of bytes, which is read once only.
    return archived_photos(path, dict.fromkeys(names, 0), [], partial(_read, path, column, names))


def _open(path: Path) -> Any:
    import pyarrow.parquet as pq

    with _ArrowErrors(path):
        return pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def _image_column(path: Path, schema: pa.Schema) -> tuple[str, bool]:
    """Return the name of the column of images, and whether it has their paths. Raises ``CommandError`` for none."""
    found = {field.name: has_path for field in schema if (has_path := _has_path(field.type)) is not None}
    if len(found) > 1 and _PREFERRED in found:
        found = {_PREFERRED: found[_PREFERRED]}
    if len(found) != 1:
        columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
        count = "no column" if not found else f"{len(found)} columns"
        raise CommandError(
            f"{path} has {count} of image bytes. Name one of them {_PREFERRED}: binary, or a struct of bytes and path. "
            f"Its columns: {excerpt(columns)}"
        )
    return next(iter(found.items()))


def _has_path(kind: pa.DataType) -> bool | None:
    """Return whether a column of images has their paths; None if the type is not that of images."""
    import pyarrow.types as types

    def is_binary(kind: pa.DataType) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind)

    if is_binary(kind):
        return False
    if not types.is_struct(kind):
        return None
    fields = {field.name: field.type for field in kind}
    if "bytes" not in fields or not is_binary(fields["bytes"]):
        return None
    return "path" in fields and (types.is_string(fields["path"]) or types.is_large_string(fields["path"]))


def _paths(path: Path, file: Any, column: str) -> Iterator[str | None]:
    with _ArrowErrors(path):
        for batch in file.iter_batches(batch_size=_PATHS_AT_ONCE, columns=[f"{column}.path"]):
            for value in batch.column(0).to_pylist():
                yield value and value.get("path")


def _names(path: Path, paths: list[str | None]) -> list[str]:
    """Return a name for each row."""
    wanted = [_file_name(value) for value in paths]
    counts: dict[str, int] = {}
    for name in wanted:
        counts[name] = counts.get(name, 0) + 1
    return [
        name if name and counts[name] == 1 else f"{path.stem}-{row:06d}{PurePosixPath(name).suffix}"
        for row, name in enumerate(wanted)
    ]


def _file_name(value: str | None) -> str:
    """Return the last part of a path, which may be one of another machine; empty if there is none."""
    name = (value or "").replace("\\", "/").rpartition("/")[2].replace("\0", "")
    return "" if name in (".", "..") else name


def _read(path: Path, column: str, names: list[str], wanted: Collection[str]) -> Iterator[tuple[str, Body]]:
    """Yield the photos, reading one row at a time: a page of a small file may unpack to very large rows."""
    names_wanted, rows = set(wanted), iter(names)
    with _ArrowErrors(path), _open(path) as file:
        for batch in file.iter_batches(batch_size=1, columns=[column]):
            name, value = next(rows), batch.column(0)[0]
            if name in names_wanted:
                yield name, _body(value)


def _body(value: Any) -> Body:
    if hasattr(value.type, "fields") or value.type.num_fields:
        value = value["bytes"] if value.is_valid else value
    if not value.is_valid:
        return Damaged("its row has no image bytes, only a path at most. Write the bytes into the file.")
    buffer = value.as_buffer()
    if buffer.size > MAXIMUM_BYTES:
        return Damaged(f"{buffer.size:,} bytes, more than the maximum of {MAXIMUM_BYTES:,}. Save it smaller.")
    return buffer.to_pybytes()


class _ArrowErrors:
    """Context that raises ``CommandError`` for every exception that a damaged Parquet file causes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        import pyarrow as pa

        if isinstance(error, pa.ArrowException | OSError | ValueError | MemoryError):
            raise CommandError(
                f"{self._path} cannot be read: {excerpt(' '.join(str(error).split()))}. Copy it again."
            ) from None
