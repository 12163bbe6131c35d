"""Find the largest image in a camera's RAW file that can be decoded.

A DNG, NEF, CR2 or ARW file is a TIFF file with several images: the sensor's data, which only a RAW converter can
decode, and previews as RGB or JPEG. The first image is often a thumbnail of 160 pixels. Programs set NewSubfileType
differently, so the declared sizes decide (TIFF/EP, ISO 12234-2; Adobe DNG 1.7.1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC = 256, 257, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _STRIP_BYTES, _SUB_IFDS = 273, 274, 279, 330
_JPEG_TABLES, _JPEG_OFFSET, _JPEG_BYTES = 347, 513, 514
_TAGS = {
    *(_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _STRIP_OFFSETS, _ORIENTATION, _STRIP_BYTES, _SUB_IFDS),
    *(_JPEG_TABLES, _JPEG_OFFSET, _JPEG_BYTES),
}
_PICTURE = {1, 2, 6}
"""PhotometricInterpretation of pictures: greyscale, RGB and YCbCr. Sensor data, masks and depth maps have others."""
_DECODABLE = {1, 5, 7, 8, 32773, 32946}
"""Compression that libtiff decodes: none, LZW, JPEG, Deflate and PackBits."""
_INTEGERS = {3: "H", 4: "L", 7: "B", 13: "L"}
"""Formats of the types SHORT, LONG, UNDEFINED and IFD."""
_BYTES = {1, 2, 7}
"""Types BYTE, ASCII and UNDEFINED, whose values Pillow keeps as bytes."""
_JPEG_START = b"\xff\xd8"
_MAXIMUM_IFDS = 64
_MAXIMUM_VALUES = 64
"""Values of a tag that are read. An image in many strips has more."""


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
    """EXIF orientation of the whole file; None if ``file`` has its own."""
    largest: tuple[int, int]
    """Width and height of the largest image in the file, which may be sensor data."""


def largest_embedded_image(photo: bytes) -> EmbeddedImage | None:
    """Return the largest image of a RAW file that can be decoded; None if the file is not a TIFF file or has none.

    Damaged directories are left out.
    """
    if len(photo) < 8 or photo[:4] not in (b"II*\0", b"MM\0*"):
        return None
    images: list[tuple[int, int, int, slice | None]] = []
    sizes: list[tuple[int, int]] = []
    orientation, oriented = None, set[int]()
    for offset, tags in _directories(photo):
        orientation = orientation or _single(tags, _ORIENTATION)
        size = (_single(tags, _WIDTH) or 0, _single(tags, _HEIGHT) or 0)
        sizes.append(size)
        photometric, compression = _single(tags, _PHOTOMETRIC), _single(tags, _COMPRESSION) or 1
        if _ORIENTATION in tags:
            oriented.add(offset)
        jpeg = _jpeg(tags)
        if jpeg and photo[jpeg].startswith(_JPEG_START):
            jpeg_size = _jpeg_size(photo[jpeg])
            if jpeg_size and photometric in {None, *_PICTURE}:
                images.append((*jpeg_size, offset, jpeg))
        elif photometric in _PICTURE and compression in _DECODABLE and all(size) and _STRIP_OFFSETS in tags:
            images.append((*size, offset, None))
    if not images:
        return None
    width, height, offset, jpeg = max(images, key=lambda image: image[0] * image[1])
    largest = max([*sizes, (width, height)], key=lambda size: size[0] * size[1])
    if jpeg:
        return EmbeddedImage(photo[jpeg], width, height, orientation, largest)
    # Pillow applies the orientation of a TIFF file's first directory itself, and then removes it.
    orientation = None if offset in oriented else orientation
    return EmbeddedImage(_with_first_directory(photo, offset), width, height, orientation, largest)


def count_values(photo: bytes) -> int | None:
    """Return the number of values in the first directory of a TIFF file that Pillow turns into Python numbers.

    None for a file that is not a TIFF file, or whose directory cannot be read; Pillow refuses the latter.
    """
    if photo[:4] not in (b"II*\0", b"MM\0*"):
        return None
    order = _byte_order(photo)
    try:
        (offset,) = struct.unpack_from(f"{order}L", photo, 4)
        (count,) = struct.unpack_from(f"{order}H", photo, offset)
        entries = [struct.unpack_from(f"{order}HHL", photo, offset + 2 + 12 * n) for n in range(count)]
    except struct.error:
        return None
    return sum(values for _, kind, values in entries if kind not in _BYTES)


def _directories(photo: bytes) -> Iterator[tuple[int, dict[int, tuple[int, ...]]]]:
    """Yield the offset and the tags of each image file directory, those in SubIFDs included."""
    order = _byte_order(photo)
    offsets, seen = [*struct.unpack_from(f"{order}L", photo, 4)], set[int]()
    while offsets and len(seen) < _MAXIMUM_IFDS:
        offset = offsets.pop(0)
        if offset in seen:
            continue
        seen.add(offset)
        try:
            (count,) = struct.unpack_from(f"{order}H", photo, offset)
            end = offset + 2 + 12 * count
            tags = dict(_entry(photo, order, position) for position in range(offset + 2, end, 12))
            following = struct.unpack_from(f"{order}L", photo, end)
        except struct.error:  # The file ends before the directory, or before the values of a tag.
            continue
        yield offset, tags
        offsets += [*tags.get(_SUB_IFDS, ()), *(offset for offset in following if offset)]


def _entry(photo: bytes, order: str, position: int) -> tuple[int, tuple[int, ...]]:
    """Return a tag and its first values; no values if the tag is not in ``_TAGS`` or has other values than integers.

    Pillow reads all tags, and each value of 2 bytes takes 40 bytes of memory there.
    """
    tag, kind, count = struct.unpack_from(f"{order}HHL", photo, position)
    if tag not in _TAGS or kind not in _INTEGERS:
        return tag, ()
    position += 8
    if count * struct.calcsize(f"={_INTEGERS[kind]}") > 4:
        (position,) = struct.unpack_from(f"{order}L", photo, position)
    return tag, struct.unpack_from(f"{order}{min(count, _MAXIMUM_VALUES)}{_INTEGERS[kind]}", photo, position)


def _jpeg(tags: dict[int, tuple[int, ...]]) -> slice | None:
    """Return the place of the JPEG file that a directory points to, if it has a single one."""
    offset, length = _single(tags, _JPEG_OFFSET), _single(tags, _JPEG_BYTES)
    if offset is None and _single(tags, _COMPRESSION) in (6, 7) and _JPEG_TABLES not in tags:
        offset, length = _single(tags, _STRIP_OFFSETS), _single(tags, _STRIP_BYTES)
    return None if offset is None or length is None else slice(offset, offset + length)


def _single(tags: dict[int, tuple[int, ...]], tag: int) -> int | None:
    """Return the value of a tag; None if it has none or several."""
    values = tags.get(tag, ())
    return values[0] if len(values) == 1 else None


def _jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    """Return width and height that a JPEG's header declares; None for lossless JPEG, which is sensor data."""
    position = 2
    while position + 9 <= len(jpeg) and jpeg[position] == 0xFF:
        marker, length = jpeg[position + 1], int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack_from(">HH", jpeg, position + 5)
            return width, height
        if marker in (0xC3, 0xD9, 0xDA):
            return None
        position += 2 + length
    return None


def _byte_order(photo: bytes) -> str:
    return "<" if photo[:2] == b"II" else ">"


def _with_first_directory(photo: bytes, offset: int) -> bytes:
    """Return the TIFF file with another directory as its first, so that a decoder reads that image."""
    return b"".join((photo[:4], struct.pack(f"{_byte_order(photo)}L", offset), memoryview(photo)[8:]))
