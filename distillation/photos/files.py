"""Decide by name which objects of a collection are photos."""

from __future__ import annotations

from pathlib import PurePosixPath

from distillation.answers.own_labels import OWN_LABELS_FILES

# Files that operating systems and photo programs write beside photos. They are ignored without a message.
_SIDECAR_NAMES = {"thumbs.db", "desktop.ini", "distill.json", *OWN_LABELS_FILES}
_SIDECAR_SUFFIXES = {".aae", ".json", ".md", ".thm", ".xml", ".xmp"}


def is_ignored(key: str) -> bool:
    """Return whether the name shows that an object is not a photo: hidden, a folder marker, or a sidecar."""
    path = PurePosixPath(key)
    return (
        key.endswith("/")
        or any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        or path.name.lower() in _SIDECAR_NAMES
        or path.suffix.lower() in _SIDECAR_SUFFIXES
    )
