"""Photos of a .zip, .tar or .tar.gz file, read one after another: nothing is unpacked to disk.

An archive may come from anybody. Its directory is checked before a photo is read. A photo is read in pieces, up to the
size in the directory, so memory stays bounded.
"""

from __future__ import annotations

import gzip
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from cli.console import CommandError
from cli.photo_files import Body, Damaged, PhotoFiles, archived_photos
from distillation.errors import excerpt
from distillation.photos.files import OWN_FILE, skip_kind

MAXIMUM_RATIO = 100
"""Largest size of an archive's files as a multiple of its own size. Photos hardly get smaller in an archive."""
MINIMUM_LIMIT_BYTES = 1 << 30
"""Size in bytes up to which the files of any archive may grow."""
MAXIMUM_MEMBERS = 1_000_000
"""Largest number of members of an archive."""
_CHUNK_BYTES = 1 << 20
_MAXIMUM_READ_BYTES = 4 << 20
"""Largest read of a tar file in bytes. Python reads an extended header, of any size, in one go."""
_MAXIMUM_READS_AT_END = 100
"""Number of reads at the end of a tar file after which Python is taken to loop."""
_BLOCK_BYTES = 512
_ENCRYPTED = 0x1
_UTF_8_NAME = 0x800
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Compression methods whose output Python limits. A small piece of bzip2 or LZMA can unpack to any size."""
_UNIX = 3
_SPECIAL = "link or special file"
_OUTSIDE = re.compile(r"/|[A-Za-z]:|(.*/)?\.\.(/|$)", re.DOTALL)
_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, OSError, EOFError, ValueError, LookupError, OverflowError),
    *(NotImplementedError, RuntimeError),
)
"""Exceptions that damaged or hostile archives cause in Python."""


def zip_photos(path: Path) -> PhotoFiles:
    """Return the photos of a .zip file. Raises ``CommandError`` if it cannot be read, or has no photos."""
    with _archive_errors(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    _check_count(path, len(members))
    skipped = [_SPECIAL for member in members if not member.is_dir() and _is_special(member)]
    files = [member for member in members if not member.is_dir() and not _is_special(member)]
    names = _unique_names(path, map(_zip_name, files))
    _check_not_overlapping(path, members)
    _check_total(path, sum(member.file_size for member in files))
    for name, member in zip(names, files, strict=True):
        if _is_wanted(name):
            _check_readable(path, name, member)
    by_name = dict(zip(names, files, strict=True))
    sizes = {name: member.file_size for name, member in by_name.items()}
    return archived_photos(path, sizes, skipped, partial(_read_zip, path, by_name))


def tar_photos(path: Path) -> PhotoFiles:
    """Return the photos of a .tar or .tar.gz file. Raises ``CommandError`` if it cannot be read, or has no photos."""
    sizes, skipped = dict[str, int](), list[str]()
    with _archive_errors(path), _open_tar(path) as archive:
        for count, member in enumerate(_members(archive), 1):
            _check_count(path, count)
            if member.isreg() and not member.issparse():
                (name,) = _unique_names(path, [member.name], sizes)
                sizes[name] = member.size
            elif not member.isdir():
                skipped.append(_SPECIAL)
        _check_end(archive)
    return archived_photos(path, sizes, skipped, partial(_read_tar, path))


def _read_zip(path: Path, members: dict[str, zipfile.ZipInfo], wanted: Collection[str]) -> Iterator[tuple[str, Body]]:
    with _archive_errors(path), zipfile.ZipFile(path) as archive:
        for name in wanted:
            try:
                with archive.open(members[name]) as file:
                    yield name, _read_whole(file, members[name].file_size)
            except _ERRORS as error:
                yield name, Damaged(f"it is damaged in the archive: {error or type(error).__name__}. Pack it again.")


def _read_tar(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, Body]]:
    names = set(wanted)
    with _archive_errors(path), _open_tar(path) as archive:
        for member in _members(archive):
            name = _safe_name(path, member.name)
            if name in names and member.isreg():
                file = archive.extractfile(member)
                yield name, _read_whole(file, member.size) if file else Damaged("it has no content.")


def _read_whole(file: IO[bytes], size: int) -> bytes:
    """Return the content of a file, which must have ``size`` bytes. Raises ``EOFError`` if it has fewer."""
    content = io.BytesIO()
    while chunk := file.read(_CHUNK_BYTES):
        content.write(chunk)
    if content.tell() != size:
        raise EOFError(f"{content.tell():,} of {size:,} bytes")
    return content.getvalue()


def _is_special(member: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == _UNIX else 0
    return kind not in (0, stat.S_IFREG)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Return the name of a member. Many programs write UTF-8 without the flag that says so; others CP437."""
    name = member.orig_filename
    if not member.flag_bits & _UTF_8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")  # Some programs for Windows write backslashes.


def _unique_names(path: Path, names: Iterable[str], known: Collection[str] = ()) -> list[str]:
    """Return names without ``.``. Raises ``CommandError`` for one outside the archive, or one that is there twice."""
    unique = dict.fromkeys(known)
    found = []
    for name in names:
        safe = _safe_name(path, name)
        if safe in unique:
            raise CommandError(f"{path} contains {excerpt(safe)!r} twice. Unpack it and upload the folder.")
        unique[safe] = None
        found.append(safe)
    return found


def _safe_name(path: Path, name: str) -> str:
    if _OUTSIDE.match(name) or "\0" in name:
        raise CommandError(
            f"{path} contains {excerpt(name)!r}, a path outside the archive. Do not use it, or create it again."
        )
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _check_count(path: Path, count: int) -> None:
    if count > MAXIMUM_MEMBERS:
        raise CommandError(f"{path} has more than {MAXIMUM_MEMBERS:,} members. Pack only the photos.")


def _check_total(path: Path, size: int) -> None:
    """Raise ``CommandError`` if the files of an archive are too large to be photos."""
    if size > _limit(path):
        raise CommandError(_too_large(path))


def _limit(path: Path) -> int:
    return max(MINIMUM_LIMIT_BYTES, MAXIMUM_RATIO * path.stat().st_size)


def _too_large(path: Path) -> str:
    return (
        f"{path} would grow from {path.stat().st_size:,} to more than {_limit(path):,} bytes, which photos do not. "
        "Do not use the archive, or unpack it and upload the folder."
    )


def _check_not_overlapping(path: Path, members: Iterable[zipfile.ZipInfo]) -> None:
    """Raise ``CommandError`` if members share bytes, which makes a small archive unpack to a very large one."""
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise CommandError(f"{path}: its members overlap. Do not use the archive, or create it again.")
        end = member.header_offset + member.compress_size


def _is_wanted(name: str) -> bool:
    return skip_kind(name) in (None, OWN_FILE)


def _check_readable(path: Path, name: str, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise CommandError(f"{path}: {excerpt(name)} is encrypted. Unpack the archive and upload the folder.")
    if member.compress_type not in _METHODS:
        method = zipfile.compressor_names.get(member.compress_type, str(member.compress_type))  # type: ignore[attr-defined]
        raise CommandError(
            f"{path}: {excerpt(name)} is compressed with {method}, not with deflate. Unpack the archive and upload the "
            "folder."
        )


class _TarFile(io.RawIOBase):
    """A tar file whose reads and positions are limited."""

    def __init__(self, file: Any, limit: int, message: str) -> None:
        self._file, self._limit, self._message = file, limit, message
        self._reads_at_end = 0

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAXIMUM_READ_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        data = self._file.read(size)
        self._reads_at_end += not data and size > 0
        if self._reads_at_end > _MAXIMUM_READS_AT_END:
            raise tarfile.ReadError("unexpected end")
        return data

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < 0:
            raise tarfile.ReadError("a position before the file's start")
        if position > self._limit:
            raise CommandError(self._message)
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as start:
        is_gzip = start.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzip else path.open("rb") as file:
        limited = _TarFile(file, _limit(path), _too_large(path))
        with tarfile.open(fileobj=limited, mode="r:") as archive:
            yield archive


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file in order. Raises ``TarError`` if one does not lie behind the previous one."""
    offset = -1
    while member := archive.next():
        archive.members = []  # type: ignore[assignment] - Python keeps all members, which needs memory
        if member.size < 0 or archive.offset <= offset:
            raise tarfile.ReadError(f"member {excerpt(member.name)!r} has {member.size:,} bytes")
        offset = archive.offset
        yield member


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise ``TarError`` if a tar file does not end with a block of zeros: Python takes any damage for the end.

    Also read the rest of a .tar.gz file, which ends with a checksum.
    """
    file: Any = archive.fileobj
    file.seek(archive.offset)
    if file.read(_BLOCK_BYTES) != bytes(_BLOCK_BYTES):
        raise tarfile.ReadError("its end is missing")
    while file.read(_CHUNK_BYTES):
        file.seek(file.tell())


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    """Raise ``CommandError`` for every exception that a damaged archive causes."""
    try:
        yield
    except _ERRORS as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise CommandError(
            f"{path} is damaged or incomplete: {excerpt(reason)}. Copy or pack it again, or upload the unpacked folder."
        ) from None
