"""Which objects of a collection are photos, and which only lie beside them."""

from __future__ import annotations

from pathlib import PurePosixPath

OWN_LABELS = ("labels.csv", "labels.jsonl")
"""Names that the owner's own labels may have, beside ``distill.json``."""
# What operating systems, photo programs and careful owners leave beside photos; passed over without a word.
_SIDECAR_NAMES = {"thumbs.db", "desktop.ini", "distill.json", *OWN_LABELS}
_SIDECAR_SUFFIXES = {".aae", ".json", ".md", ".thm", ".xml", ".xmp"}


def is_ignored(key: str) -> bool:
    """Tell whether an object is no photo by its name alone: hidden, a folder marker, or a sidecar."""
    path = PurePosixPath(key)
    return (
        key.endswith("/")
        or any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        or path.name.lower() in _SIDECAR_NAMES
        or path.suffix.lower() in _SIDECAR_SUFFIXES
    )
