"""TIFF files as cameras write RAW: thumbnails, JPEG previews in SubIFDs, and sensor data that cannot be decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

from PIL import Image

Kind = str
"""``preview`` (uncompressed RGB), ``jpeg``, ``sensor`` (in a SubIFD), ``mask``, or ``jpeg xl``."""


def raw_file(images: Sequence[tuple[int, int, Kind]], orientation: int = 1) -> bytes:
    """Return a RAW file with images of the given width, height and kind; the first one is in the first directory."""
    body, directories = bytearray(b"II*\0\0\0\0\0"), []
    for width, height, kind in images:
        pixels = _pixels(width, height, kind)
        directories.append((_tags(width, height, kind, len(body), len(pixels)), kind))
        body += pixels
    sub_offsets = []
    for tags, _ in directories[1:]:
        sub_offsets.append(len(body))
        body += _directory(tags, len(body))
    first = directories[0][0] | {274: (3, orientation)}
    if sub_offsets:
        list_offset = len(body)
        body += struct.pack(f"<{len(sub_offsets)}L", *sub_offsets)
        first |= {330: (4, sub_offsets[0] if len(sub_offsets) == 1 else list_offset, len(sub_offsets))}  # type: ignore[dict-item]
    body[4:8] = struct.pack("<L", len(body))
    return bytes(body + _directory(first, len(body)))


def _pixels(width: int, height: int, kind: Kind) -> bytes:
    if kind in ("sensor", "mask", "jpeg xl"):
        return bytes(1000)
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    if kind == "preview":
        return image.tobytes()
    output = io.BytesIO()
    image.save(output, "JPEG")
    return output.getvalue()


def _tags(width: int, height: int, kind: Kind, offset: int, length: int) -> dict[int, tuple[int, ...]]:
    photometric, compression, samples = {
        "preview": (2, 1, 3),
        "jpeg": (6, 7, 3),
        "sensor": (32803, 7, 1),
        "mask": (52527, 1, 1),
        "jpeg xl": (2, 52546, 3),
    }[kind]
    # NewSubfileType says "reduced" (1) for all of them, as some programs do.
    return {
        254: (4, 1),
        256: (4, width),
        257: (4, height),
        258: (3, 8),
        259: (3, compression),
        262: (3, photometric),
        273: (4, offset),
        277: (3, samples),
        278: (4, height),
        279: (4, length),
    }


def _directory(tags: dict[int, tuple[int, ...]], offset: int) -> bytes:
    entries = b""
    for tag, (kind, value, *count) in sorted(tags.items()):
        entries += struct.pack("<HHLL", tag, kind, count[0] if count else 1, value)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<L", 0)
