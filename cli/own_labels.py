"""Your own labels in a folder: found and checked before anything is uploaded or paid for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.console import CommandError
from distillation.answers.own_labels import OWN_LABELS_FILES, parse_own_labels_file
from distillation.records import InventoryLine, Run
from distillation.storage import Bucket


def own_labels_in(folder: Path) -> dict[str, Path]:
    """Return the file with own labels in a folder, if there is one, keyed by the name that it has in a collection.

    The name may be in any case, such as ``Labels.CSV``. Raises ``CommandError`` for more than one file.
    """
    paths = sorted(path for path in folder.iterdir() if path.name.lower() in OWN_LABELS_FILES and path.is_file())
    if len(paths) > 1:
        raise CommandError(f"{' and '.join(path.name for path in paths)} are both in {folder}. Keep one of them.")
    return {path.name.lower(): path for path in paths}


def check_own_labels_in(folder: Path, run: Run, photos: Iterable[str]) -> None:
    """Check the own labels in a folder as Split will. Raises ``InvalidRequest``.

    ``photos`` are the names of the photos below the folder.
    """
    lines = [InventoryLine(photo=f"{run.collection}{photo}", status="ok") for photo in photos]
    parse_own_labels_file(run, local_collection(run.collection, folder), lines)


def local_collection(name: str, folder: Path) -> Bucket:
    """Return a folder as the collection ``name`` that an upload of it gives."""
    return _LocalCollection(None, name, folder)  # type: ignore[arg-type] - nothing calls the client


@dataclass(frozen=True)
class _LocalCollection(Bucket):
    """The files directly in a folder, with the keys that an upload gives them in the collection ``name``."""

    folder: Path

    def read(self, key: str, limit: int | None = None) -> bytes:
        """Return at most ``limit`` bytes of a file."""
        return self._files[key].read_bytes()[:limit]

    def list(self, prefix: str) -> Iterator[Any]:
        """Yield key and size of each file whose key begins with ``prefix``."""
        for key, path in self._files.items():
            if key.startswith(prefix):
                yield {"Key": key, "Size": path.stat().st_size}

    @property
    def _files(self) -> dict[str, Path]:
        paths = [path for path in sorted(self.folder.iterdir()) if path.is_file()]
        own = {path: path.name.lower() for path in paths if path.name.lower() in OWN_LABELS_FILES}
        return {f"{self.name}{own.get(path, path.name)}": path for path in paths}
