"""Text files that the owner of a collection puts beside its photos, such as labels.csv and vocabulary.csv."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection

from distillation.errors import InvalidRequest
from distillation.storage import Bucket


def file_sizes(collection: str, names: Collection[str], photos: Bucket) -> dict[str, int]:
    """Return the sizes in bytes of the files in the collection's folder that have one of ``names`` in any case.

    ``names`` are in lower case. The keys are the names as they are stored.
    """
    first_letters = {letter for name in names for letter in (name[0], name[0].upper())}
    sizes = {
        item["Key"].removeprefix(collection): item["Size"]
        for letter in sorted(first_letters)
        for item in photos.list(f"{collection}{letter}")
    }
    return {name: size for name, size in sizes.items() if name.lower() in names}


def decode_text(name: str, body: bytes) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Raises ``InvalidRequest`` that names the first line which is not.
    """
    try:
        # Excel saves "Unicode text" as UTF-16 with a byte order mark.
        return body.decode("utf-16" if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise InvalidRequest(
            f"{name} line {line} is not {error.encoding.upper()}. Save the file as UTF-8 (CSV UTF-8 in Excel)."
        ) from None
