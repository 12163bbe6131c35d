"""Find the largest image in a camera's RAW file that can be decoded.

A DNG, NEF, CR2 or ARW file is a TIFF file with several images: the sensor's data, which only a RAW converter can
decode, and previews as RGB or JPEG. The first image is often a thumbnail of 160 pixels. Programs set NewSubfileType
differently, so the declared sizes decide (TIFF/EP, ISO 12234-2; Adobe DNG 1.7.1).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC = 256, 257, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _STRIP_BYTES, _SUB_IFDS = 273, 274, 279, 330
_JPEG_TABLES, _JPEG_OFFSET, _JPEG_BYTES = 347, 513, 514
_SENSOR_DATA = {32803, 34892}
"""PhotometricInterpretation of sensor data: CFA and LinearRaw."""
_MAXIMUM_IFDS = 64


@dataclass(frozen=True)
class EmbeddedImage:
    """The largest image in a RAW file that can be decoded."""

    file: bytes
    """JPEG or TIFF file whose first image it is."""
    width: int
    """Declared width in pixels; 0 if the file does not declare it."""
    height: int
    """Declared height in pixels; 0 if the file does not declare it."""
    orientation: int | None
    """EXIF orientation of the whole file."""
    largest: tuple[int, int]
    """Width and height of the largest image in the file, which may be sensor data."""


def largest_embedded_image(photo: bytes) -> EmbeddedImage | None:
    """Return the largest image of a RAW file that can be decoded; None if the file is not a TIFF file or has none.

    Damaged directories are left out.
    """
    if photo[:4] not in (b"II*\0", b"MM\0*"):
        return None
    images: list[tuple[int, int, bytes]] = []
    sizes: list[tuple[int, int]] = []
    orientation = None
    for offset, tags in _directories(photo):
        orientation = orientation or tags.get(_ORIENTATION)
        width, height = _integer(tags, _WIDTH), _integer(tags, _HEIGHT)
        sizes.append((width, height))
        if jpeg := _jpeg(tags, photo):
            images.append((*(_jpeg_size(jpeg) or (width, height)), jpeg))
        elif tags.get(_PHOTOMETRIC) not in _SENSOR_DATA and width and height and _STRIP_OFFSETS in tags:
            images.append((width, height, _with_first_directory(photo, offset)))
    if not images:
        return None
    width, height, file = max(images, key=lambda image: image[0] * image[1])
    largest = max([*sizes, (width, height)], key=lambda size: size[0] * size[1])
    return EmbeddedImage(file, width, height, orientation, largest)


def _directories(photo: bytes) -> Iterator[tuple[int, dict[int, Any]]]:
    """Yield the offset and the tags of each image file directory, those in SubIFDs included."""
    file, order = io.BytesIO(photo), "<" if photo[:2] == b"II" else ">"
    offsets, seen = [struct.unpack(f"{order}L", photo[4:8])[0]], set[int]()
    while offsets and len(seen) < _MAXIMUM_IFDS:
        offset = offsets.pop(0)
        if offset in seen or not 8 <= offset < len(photo):
            continue
        seen.add(offset)
        directory = ImageFileDirectory_v2(photo[:8])
        try:
            file.seek(offset)
            directory.load(file)
            tags = dict(directory)
        except Exception:  # noqa: BLE001 - any damage; the other directories may be intact
            continue
        yield offset, tags
        sub_ifds = tags.get(_SUB_IFDS, ())
        offsets += sub_ifds if isinstance(sub_ifds, tuple) else (sub_ifds,)
        offsets.append(directory.next)


def _jpeg(tags: dict[int, Any], photo: bytes) -> bytes | None:
    """Return the JPEG file that a directory points to, if it has a single one."""
    offset, length = tags.get(_JPEG_OFFSET), tags.get(_JPEG_BYTES)
    if offset is None and tags.get(_COMPRESSION) in (6, 7) and _JPEG_TABLES not in tags:
        offset, length = _single(tags.get(_STRIP_OFFSETS)), _single(tags.get(_STRIP_BYTES))
        if tags.get(_PHOTOMETRIC) in _SENSOR_DATA:
            return None
    if not isinstance(offset, int) or not isinstance(length, int):
        return None
    jpeg = photo[offset : offset + length]
    return jpeg if jpeg.startswith(b"\xff\xd8") and _jpeg_size(jpeg) else None


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def _jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    """Return width and height that a JPEG's header declares; None for lossless JPEG, which is sensor data."""
    position = 2
    while position + 9 <= len(jpeg) and jpeg[position] == 0xFF:
        marker, length = jpeg[position + 1], int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack(">HH", jpeg[position + 5 : position + 9])
            return width, height
        if marker in (0xC3, 0xD9, 0xDA):
            return None
        position += 2 + length
    return None


def _integer(tags: dict[int, Any], tag: int) -> int:
    value = _single(tags.get(tag, 0))
    return value if isinstance(value, int) else 0


def _with_first_directory(photo: bytes, offset: int) -> bytes:
    """Return the TIFF file with another directory as its first, so that a decoder reads that image."""
    order = "<" if photo[:2] == b"II" else ">"
    return photo[:4] + struct.pack(f"{order}L", offset) + photo[8:]
