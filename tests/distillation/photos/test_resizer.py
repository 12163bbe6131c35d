from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from distillation import keys
from distillation.photos.resize_batch import resize_batch
from distillation.photos.resizer import MAXIMUM_PIXELS, PhotoRefused, resize
from tests.support.builders import any_run
from tests.support.fakes import bucket


def photo(size: tuple[int, int] = (1200, 800), kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    output = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(output, kind, **options)
    return output.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises many pixels and holds next to none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg))


def test_large_photo_is_reduced_and_small_one_is_not_enlarged() -> None:
    assert resize(photo((1200, 800)), 900).pixels.size == (900, 600)
    assert resize(photo((300, 200)), 900).pixels.width == 300


def test_same_bytes_give_the_same_image() -> None:
    assert resize(photo(), 900).jpeg == resize(photo(), 900).jpeg


def test_photo_is_turned_upright_and_its_metadata_stays_behind() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    image = resize(photo((1200, 800), exif=exif.tobytes()), 900)

    assert image.pixels.size == (600, 900)
    assert not opened(image.jpeg).getexif()


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
def test_every_accepted_kind_becomes_rgb(kind: str, mode: str) -> None:
    assert opened(resize(photo((120, 80), kind, mode), 900).jpeg).mode == "RGB"


def test_alpha_lies_on_white() -> None:
    output = io.BytesIO()
    Image.new("RGBA", (100, 100), (0, 0, 0, 0)).save(output, "PNG")

    assert opened(resize(output.getvalue(), 900).jpeg).getpixel((50, 50)) == (255, 255, 255)


def test_sixteen_bits_keep_their_brightness() -> None:
    output = io.BytesIO()
    Image.new("I;16", (100, 100), 32768).save(output, "PNG")

    pixel = opened(resize(output.getvalue(), 900).jpeg).getpixel((50, 50))

    assert isinstance(pixel, tuple)
    assert 120 < pixel[0] < 136


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"these are words", "not an image"),
        (photo()[:2000], "damaged"),
        (photo((1, 1), "PNG"), "1x1"),
        (png_header(60_000, 60_000), "pixels"),
        (png_header(12_000, 12_000), "pixels"),
    ],
)
def test_unusable_photo_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(PhotoRefused, match=reason):
        resize(body, 900)


def test_batch_writes_a_line_for_every_photo_and_never_fails_for_one() -> None:
    names = {"holiday/IMG (1) é+%.JPG": photo(), "holiday/broken.jpg": b"x", "holiday/.DS_Store": b"x"}
    photos, data = bucket(**names), bucket()
    items = [{"Key": name, "Size": len(body)} for name, body in names.items()]

    counts = resize_batch(any_run(), items, photos, data)

    assert counts == {"ok": 1, "refused": 1}
    lines = {line["photo"]: line for line in data.read_parts(keys.parts_prefix("holiday-1", "resize"))}
    assert [lines[name]["status"] for name in names] == ["ok", "refused", "ignored"]
    (key,) = data.keys("images/")
    assert key == keys.image_key(900, lines["holiday/IMG (1) é+%.JPG"]["image"])


FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "MPO"]


def test_formats_that_are_fuzzed_are_those_that_are_opened() -> None:
    assert set(FORMATS) == MAXIMUM_PIXELS.keys()


@pytest.mark.parametrize("kind", FORMATS)
@given(st.data())
def test_damaged_file_is_an_image_or_a_clear_refusal(kind: str, data: st.DataObject) -> None:
    whole = bytearray(PHOTO_OF[kind])
    for _ in range(data.draw(st.integers(0, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    body = bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)

    with suppress(PhotoRefused):
        assert max(resize(body, 64).pixels.size) <= 64


PHOTO_OF = {kind: photo((90, 70), kind) for kind in FORMATS} | {"JPEG": photo((90, 70), progressive=True)}
