"""Photos of a folder, an archive or a Parquet file, as ``distill upload`` reads them, one after another."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.console import CommandError
from cli.own_labels import own_files_among
from distillation.photos.files import replaced_raw_files, skip_kind, skipped_text
from distillation.photos.inventory import REPLACED_RAW
from distillation.photos.resizer import MAXIMUM_BYTES, PhotoRefused, check_file_size, resized_size

_SIDE = 900
"""Side in pixels to which a photo that replaces a RAW file must be reducible."""


@dataclass(frozen=True)
class Damaged:
    """A photo of an archive that cannot be read."""

    reason: str
    """Problem and remedy."""


Body = Path | bytes | Damaged
"""Content of a photo: its file, its bytes, or why it has none."""


@dataclass(frozen=True)
class PhotoFiles:
    """The files of a folder or an archive."""

    photos: dict[str, int]
    """Sizes of the photos in bytes, keyed by name; 0 if unknown before the photo is read."""
    skipped: list[str]
    """Kind of each other file, without ``own_files``."""
    own_files: Mapping[str, Path | bytes]
    """The files with own labels and with a vocabulary, keyed by the names that they have in a collection."""
    read: Callable[[Collection[str]], Iterator[tuple[str, Body]]]
    """Function that yields name and content of the named files, one after another."""


def archived_photos(
    source: Path,
    sizes: dict[str, int],
    skipped: list[str],
    read: Callable[[Collection[str]], Iterator[tuple[str, Body]]],
) -> PhotoFiles:
    """Return the photos among the files of an archive, and its files with own labels and with a vocabulary.

    ``sizes`` are those of the files, keyed by name, and ``skipped`` the kinds of other members. Raises ``CommandError``
    if there is no photo, or more than one file of own labels or vocabulary.
    """
    kinds = {name: skip_kind(name) for name in sizes}
    large = f"photo of more than {MAXIMUM_BYTES // 2**20} MiB"
    kinds |= {name: large for name, size in sizes.items() if kinds[name] is None and size > MAXIMUM_BYTES}
    photos = [name for name, kind in kinds.items() if kind is None]
    for name in _replaced_raw_files(photos, read):
        kinds[name] = REPLACED_RAW
    own_names = own_files_among(sizes, source)
    own_files = {key: _own_file(name, sizes[name], source, read) for key, name in own_names.items()}
    found = {name: sizes[name] for name in photos if kinds[name] is None}
    others = [kind for name, kind in kinds.items() if kind and name not in own_names.values()]
    files = PhotoFiles(found, [*skipped, *others], own_files, read)
    return check_has_photos(source, files)


def _own_file(
    name: str, size: int, source: Path, read: Callable[[Collection[str]], Iterator[tuple[str, Body]]]
) -> bytes:
    if size > MAXIMUM_BYTES:
        raise CommandError(f"{source}: {name} has {size:,} bytes, more than the maximum of {MAXIMUM_BYTES:,}.")
    ((_, body),) = read([name])
    if not isinstance(body, bytes):
        raise CommandError(f"{source}: {name}: {body.reason if isinstance(body, Damaged) else 'not read'}")
    return body


def check_has_photos(source: Path, files: PhotoFiles) -> PhotoFiles:
    """Return ``files``. Raises ``CommandError`` if there is no photo."""
    if not files.photos:
        others = f" (skipped: {skipped_text(Counter(files.skipped))})" if files.skipped else ""
        raise CommandError(f"{source} contains no photos{others}. Name another folder or archive.")
    return files


def _replaced_raw_files(
    photos: Iterable[str], read: Callable[[Collection[str]], Iterator[tuple[str, Body]]]
) -> Iterable[str]:
    """Return the RAW files that have a usable JPEG or HEIC of the same name."""
    photos, candidates = list(photos), list[str]()

    def is_candidate(name: str) -> bool:
        candidates.append(name)
        return False

    replaced_raw_files(photos, is_candidate)
    usable = {name for name, body in read(candidates) if is_usable(name, body)} if candidates else set[str]()
    return replaced_raw_files(photos, usable.__contains__) if usable else ()


def is_usable(name: str, body: Body) -> bool:
    """Return whether the header of a photo shows that a run can use it."""
    if isinstance(body, Damaged):
        return False
    try:
        check_file_size(len(body) if isinstance(body, bytes) else body.stat().st_size)
        with io.BytesIO(body) if isinstance(body, bytes) else body.open("rb") as file:
            resized_size(file, _SIDE, name)
    except PhotoRefused:
        return False
    return True
