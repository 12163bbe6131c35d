from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from distillation.photos.resizer import MAXIMUM_PIXELS, PhotoRefused, resize


def photo(size: tuple[int, int] = (1200, 800), kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    output = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(output, kind, **options)
    return output.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header declares many pixels and whose data contains almost none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))


def decoded(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg))


def test_large_photo_is_reduced_and_small_one_is_not_enlarged() -> None:
    assert resize(photo((1200, 800)), 900).pixels.size == (900, 600)
    assert resize(photo((300, 200)), 900).pixels.width == 300


def test_same_bytes_give_the_same_image() -> None:
    assert resize(photo(), 900).jpeg == resize(photo(), 900).jpeg


def test_photo_is_rotated_upright_and_metadata_is_removed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    image = resize(photo((1200, 800), exif=exif.tobytes()), 900)

    assert image.pixels.size == (600, 900)
    assert not decoded(image.jpeg).getexif()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("JPEG", "CMYK"),
        ("GIF", "P"),
        ("WEBP", "RGB"),
        ("TIFF", "L"),
        ("BMP", "RGB"),
    ],
)
def test_every_accepted_format_becomes_rgb(kind: str, mode: str) -> None:
    assert decoded(resize(photo((120, 80), kind, mode), 900).jpeg).mode == "RGB"


def test_transparent_pixels_become_white() -> None:
    output = io.BytesIO()
    Image.new("RGBA", (100, 100), (0, 0, 0, 0)).save(output, "PNG")

    assert decoded(resize(output.getvalue(), 900).jpeg).getpixel((50, 50)) == (255, 255, 255)


def test_photo_with_16_bits_keeps_its_brightness() -> None:
    output = io.BytesIO()
    Image.new("I;16", (100, 100), 32768).save(output, "PNG")

    pixel = decoded(resize(output.getvalue(), 900).jpeg).getpixel((50, 50))

    assert isinstance(pixel, tuple)
    assert 120 < pixel[0] < 136


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"this is text", "not an image"),
        (photo()[:2000], "damaged"),
        (photo((1, 1), "PNG"), "1x1"),
        (png_header(60_000, 60_000), "pixels"),
        (png_header(12_000, 12_000), "pixels"),
    ],
)
def test_unusable_photo_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(PhotoRefused, match=reason):
        resize(body, 900)


FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "MPO"]


def test_every_accepted_format_is_fuzzed() -> None:
    assert set(FORMATS) == MAXIMUM_PIXELS.keys()


@pytest.mark.parametrize("kind", FORMATS)
@given(st.data())
def test_damaged_file_is_resized_or_refused(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(PHOTO_BY_FORMAT[kind])
    for _ in range(data.draw(st.integers(0, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    body = bytes(damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged)

    with suppress(PhotoRefused):
        assert max(resize(body, 64).pixels.size) <= 64


PHOTO_BY_FORMAT = {kind: photo((90, 70), kind) for kind in FORMATS} | {"JPEG": photo((90, 70), progressive=True)}
