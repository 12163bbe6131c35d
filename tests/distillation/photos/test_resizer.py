from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from distillation.photos.raw import largest_embedded_image
from distillation.photos.resizer import MAXIMUM_PIXELS, MAXIMUM_TIFF_VALUES, PhotoRefused, resize, resized_size
from tests.distillation.photos.raw_files import raw_file


def heic(image: Image.Image, **options: Any) -> bytes:
    output = io.BytesIO()
    pillow_heif.from_pillow(image).save(output, quality=60, **options)
    return output.getvalue()


def photo(size: tuple[int, int] = (1200, 800), kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    output = io.BytesIO()
    if kind == "HEIF":
        return heic(Image.linear_gradient("L").resize(size).convert(mode), **options)
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


def quadrants(size: tuple[int, int] = (400, 300)) -> Image.Image:
    """Return a picture whose top left quarter alone is white."""
    image = Image.new("RGB", size, "black")
    image.paste("white", (0, 0, size[0] // 2, size[1] // 2))
    return image


def white_corner(image: Image.Image) -> str:
    """Return the corner of a picture that is white."""
    width, height = image.size
    corners = {"top left": (9, 9), "top right": (width - 9, 9), "bottom left": (9, height - 9)}
    corners["bottom right"] = (width - 9, height - 9)
    return next(name for name, place in corners.items() if min(image.getpixel(place)) > 200)  # type: ignore[type-var]


def two_images(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    """Return a TIFF file with two images."""
    output = io.BytesIO()
    images = [Image.linear_gradient("L").resize(size).convert("RGB") for size in (first, second)]
    images[0].save(output, "TIFF", save_all=True, append_images=images[1:])
    return output.getvalue()


def test_heic_is_decoded_with_eight_and_with_ten_bits() -> None:
    ten_bits = io.BytesIO()
    pixels = bytes(range(256)) * 2 * 3 * 64
    pillow_heif.from_bytes(mode="RGB;16", size=(128, 128), data=pixels).save(ten_bits, quality=60)

    assert resize(photo((320, 256), "HEIF"), 900, "a.heic").pixels.size == (320, 256)
    assert pillow_heif.open_heif(ten_bits.getvalue(), convert_hdr_to_8bit=False).info["bit_depth"] == 10
    assert resize(ten_bits.getvalue(), 900, "a.heic").pixels.mode == "RGB"


def test_heic_is_rotated_once_though_exif_repeats_the_rotation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    # pillow-heif writes the orientation of EXIF as irot and imir too, as an iPhone does.
    image = resize(heic(quadrants(), exif=exif.tobytes()), 900, "a.heic").pixels

    assert image.size == (300, 400)
    assert white_corner(image) == "top right"


def test_orientation_of_a_heic_that_only_exif_has_is_not_applied() -> None:
    body = heic(quadrants())
    exif = Image.Exif()
    exif[0x0112] = 6
    with_exif = heic(quadrants(), exif=exif.tobytes())
    # The property box irot of the second file becomes a box that no decoder knows.
    without_irot = with_exif.replace(b"irot", b"free")

    assert b"irot" in with_exif
    assert white_corner(resize(without_irot, 900, "a.heic").pixels) == white_corner(resize(body, 900, "a.heic").pixels)


@pytest.mark.parametrize("body", [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"no image"])
def test_heic_that_cannot_be_decoded_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(PhotoRefused, match=r"^HEIC: .* Export it as JPEG\.$"):
        resize(body, 900, "IMG_0001.HEIC")


def test_first_page_of_a_document_is_used() -> None:
    assert resize(two_images((232, 320), (500, 700)), 900, "two-pages.tif").pixels.size == (232, 320)


def test_raw_file_gives_its_largest_image_and_not_its_thumbnail() -> None:
    body = two_images((160, 221), (696, 960))
    assert resize(body, 900, "preview-first.dng").pixels.size == (652, 900)
    assert resized_size(io.BytesIO(body), 900, "preview-first.dng") == (652, 900)
    assert resize(raw_file([(160, 120, "preview"), (1200, 800, "jpeg")]), 900, "a.nef").pixels.size == (900, 600)


def test_raw_file_with_a_thumbnail_alone_is_refused_by_name() -> None:
    thumbnail = raw_file([(160, 120, "preview"), (6000, 4000, "sensor")])
    with pytest.raises(PhotoRefused, match=r"RAW: .* 160x120 of 6000x4000 pixels\. Export it as JPEG\."):
        resize(thumbnail, 900, "DSC_1.NEF")


def test_raw_file_that_is_no_tiff_is_refused_by_name() -> None:
    with pytest.raises(PhotoRefused, match=r"^RAW: it contains no image that can be decoded\. Export it as JPEG\.$"):
        resize(b"FUJIFILMCCD-RAW 0201", 900, "DSCF0001.RAF")


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_whose_directory_needs_more_memory_than_its_pixels_is_refused_before_it_is_opened(order: str) -> None:
    start = b"II*\0" if order == "<" else b"MM\0*"
    strips = struct.pack(f"{order}HHLL", 273, 4, MAXIMUM_TIFF_VALUES + 1, 8)
    hostile = start + struct.pack(f"{order}LH", 8, 1) + strips + bytes(4)

    with pytest.raises(PhotoRefused, match=r"its TIFF directory has 1,000,001 values, more than 1,000,000"):
        resize(hostile, 900)


def test_big_tiff_is_refused_by_name() -> None:
    output = io.BytesIO()
    Image.new("RGB", (90, 70)).save(output, "TIFF", big_tiff=True)
    with pytest.raises(PhotoRefused, match="BigTIFF"):
        resize(output.getvalue(), 900)


def test_rotation_of_a_raw_file_applies_to_its_preview() -> None:
    rotated = raw_file([(160, 120, "preview"), (1200, 800, "jpeg"), (1600, 1200, "sensor")], orientation=6)
    assert resize(rotated, 900, "DSC_1.NEF").pixels.size == (600, 900)


def test_image_that_has_the_orientation_itself_is_rotated_once() -> None:
    assert resize(raw_file([(1200, 800, "preview")], orientation=6), 900, "a.dng").pixels.size == (600, 900)


@pytest.mark.parametrize("kind", ["mask", "jpeg xl"])
def test_image_of_a_raw_file_that_is_no_picture_or_cannot_be_decoded_is_not_used(kind: str) -> None:
    body = raw_file([(160, 120, "preview"), (1200, 800, "jpeg"), (2400, 1600, kind)])
    assert resize(body, 900, "a.dng").pixels.size == (900, 600)


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "PNG"])
def test_photo_of_another_format_with_the_name_of_a_raw_file_is_used(kind: str) -> None:
    assert resize(photo(kind=kind), 900, "DSC_1.NEF").pixels.size == (900, 600)
    assert resized_size(io.BytesIO(photo(kind=kind)), 900, "DSC_1.NEF") == (900, 600)


@pytest.mark.parametrize("body", [b"II*\0", b"MM\0*\0\0", b"II+\0" + bytes(100), b"II*\0\xff\xff\xff\xff"])
def test_cut_raw_file_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(PhotoRefused, match=r"^RAW: "):
        resize(body, 900, "a.dng")


def test_raw_file_needs_little_more_memory_than_its_bytes() -> None:
    # Pillow would make Python integers of the last tag, and each directory could need a copy of the file.
    body = bytearray(raw_file([(160, 120, "preview")] * 30))
    values = len(body)
    body += bytes(range(256)) * 8_000
    directory = struct.pack("<HHHLLL", 1, 40_000, 3, 1_000_000, values, int.from_bytes(body[4:8], "little"))
    body[4:8] = struct.pack("<L", len(body))
    tracemalloc.start()
    embedded = largest_embedded_image(bytes(body + directory))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert embedded
    assert embedded.width == 160
    assert peak < 4 * len(body)


def test_reason_has_one_line() -> None:
    body = photo(kind="HEIF")
    with pytest.raises(PhotoRefused, match=r"^[^\n]+[^.\n]\. Export it as JPEG\.$"):
        resize(body[: len(body) // 2], 900, "a.heic")


FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "MPO", "HEIF"]


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
        assert max(resize(body, 64, f"a.{kind}").pixels.size) <= 64


PHOTO_BY_FORMAT = {kind: photo((90, 70), kind) for kind in FORMATS} | {"JPEG": photo((90, 70), progressive=True)}
