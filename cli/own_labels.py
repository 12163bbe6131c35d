"""Your own labels and vocabulary in a folder: found and checked before anything is uploaded or paid for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.console import CommandError
from distillation.answers.own_labels import OWN_LABELS_FILES, read_own_labels
from distillation.answers.vocabulary import VOCABULARY_FILE
from distillation.records import InventoryLine, Run
from distillation.storage import Bucket


def own_files_in(folder: Path) -> dict[str, Path]:
    """Return the files with own labels and with a vocabulary in a folder, keyed by their names in a collection.

    Raises ``CommandError`` for two files of a kind.
    """
    names = own_files_among((path.name for path in folder.iterdir() if path.is_file()), folder)
    return {key: folder / name for key, name in names.items()}


def own_files_among(names: Iterable[str], source: Path) -> dict[str, str]:
    """Return the names of files with own labels and with a vocabulary, keyed by their names in a collection.

    A name may be in any case, such as ``Labels.CSV``. Raises ``CommandError`` for two files of a kind.
    """
    names, found = sorted(names), dict[str, str]()
    for kind in (OWN_LABELS_FILES, (VOCABULARY_FILE,)):
        of_kind = [name for name in names if name.lower() in kind]
        if len(of_kind) > 1:
            raise CommandError(f"{' and '.join(of_kind)} are both in {source}. Keep one of them.")
        found |= {name.lower(): name for name in of_kind}
    return found


def check_own_labels_in(folder: Path, run: Run, photos: Iterable[str]) -> None:
    """Check the own labels in a folder as Split will, as far as no answer format is needed. Raises ``InvalidRequest``.

    The request, which names the prompt and so the format, is not known before it starts a run.
    ``photos`` are the names of the photos below the folder.
    """
    lines = [InventoryLine(photo=f"{run.collection}{photo}", status="ok") for photo in photos]
    read_own_labels(run, local_collection(run.collection, folder), lines, has_format=False)


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
        own_names = (VOCABULARY_FILE, *OWN_LABELS_FILES)
        own = {path: path.name.lower() for path in paths if path.name.lower() in own_names}
        return {f"{self.name}{own.get(path, path.name)}": path for path in paths}
