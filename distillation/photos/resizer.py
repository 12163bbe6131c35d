"""Convert a photo to a JPEG: upright, sRGB, transparency on white, limited in size, without metadata."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import BinaryIO

import pi_heif
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from distillation.photos.files import is_heif, is_raw
from distillation.photos.raw import count_values, largest_embedded_image

# One thread, because Resize handles one photo at a time and each thread needs memory of its own.
pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)

MAXIMUM_PIXELS = {
    "JPEG": 100_000_000,
    "MPO": 100_000_000,
    "PNG": 45_000_000,
    "WEBP": 14_000_000,
    "GIF": 45_000_000,
    "TIFF": 25_000_000,
    "BMP": 34_000_000,
    "AVIF": 24_000_000,
    "HEIF": 51_000_000,
}
"""Maximum number of pixels, keyed by format, so that decoding needs at most 300 MB of memory (HEIF: 460 MB).

HEIF includes HEIC, with which iPhones store up to 48 megapixels.

This is also the list of accepted formats: no other decoder gets the bytes of a photo.
"""
_PILLOW_FORMATS = tuple(name for name in MAXIMUM_PIXELS if name != "MPO")  # The JPEG decoder detects MPO.
MAXIMUM_COEFFICIENT_BYTES = 200 * 1024 * 1024
"""Maximum size, in bytes, of the coefficients of a progressive JPEG.

All coefficients, two bytes each, are in memory before decoding starts.
"""
MAXIMUM_TIFF_VALUES = 1_000_000
"""Maximum number of values in the directory of a TIFF file. Pillow needs about 40 bytes of memory for each."""
MAXIMUM_BYTES = 100 * 1024 * 1024
"""Maximum size of a photo file, in bytes."""
MINIMUM_SIDE = 25
"""Minimum length of a side, in pixels. Bedrock refuses smaller training images (source: aws/nova-forge-sdk)."""

# Chosen with benchmarks/resize.py. A JPEG is decoded at 1/8, 1/4 or 1/2 of its size: the smallest that is at least
# _DECODE_MARGIN times the target size. HAMMING takes half the time of LANCZOS and loses some fine detail; the higher
# encoder quality compensates for that.
_DECODE_MARGIN = 1.25
_FILTER = Image.Resampling.HAMMING
_ENCODER = {"quality": 90, "subsampling": "4:2:2"}
_STRIP_PIXELS = 1_000_000
_EXIF_ORIENTATION = 0x0112
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EMPTY_FILE = "the file is empty. Upload it again."
_NO_EMBEDDED_IMAGE = "RAW: it contains no image that can be decoded. Export it as JPEG."
# Exceptions that Pillow raises for truncated, damaged or malicious files.
_DECODE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError, RuntimeError, struct.error, zlib.error),
)


class PhotoRefused(Exception):
    """A photo cannot be used. The message is shown to the owner of the photo: the reason and what to do."""


@dataclass(frozen=True)
class ResizedImage:
    """A resized photo."""

    jpeg: bytes
    """Encoded image."""
    pixels: Image.Image
    """RGB image before encoding."""


def resize(photo: bytes, side: int, name: str = "") -> ResizedImage:
    """Resize a photo to at most ``side`` pixels on its longer side. Raises ``PhotoRefused`` if it cannot be used.

    The same bytes give the same JPEG. Small photos are not enlarged. Only the first frame of an animation or sequence
    and the first page of a document is used. If ``name`` is that of a RAW file, its largest embedded image is used.
    """
    if not photo:
        raise PhotoRefused(_EMPTY_FILE)
    check_file_size(len(photo))
    with _decode_errors_as_refusals(name):
        image = _decode_and_resize(*_decodable(photo, side, name), side)
    output = io.BytesIO()
    image.save(output, "JPEG", **_ENCODER)
    return ResizedImage(output.getvalue(), image)


def resized_size(photo: BinaryIO, side: int, name: str = "") -> tuple[int, int]:
    """Return the size, in pixels, that ``resize`` would give a photo. Raises ``PhotoRefused`` if it cannot be used.

    Only the header of the photo is read; a RAW or HEIC file is read whole.
    """
    if not photo.read(1):
        raise PhotoRefused(_EMPTY_FILE)
    photo.seek(0)
    with _decode_errors_as_refusals(name):
        if is_raw(name):
            photo = io.BytesIO(_decodable(photo.read(MAXIMUM_BYTES + 1), side, name)[0])
        with Image.open(photo, formats=_PILLOW_FORMATS) as source:
            _check_memory(source)
            return _target_size(source, side)


def _decodable(photo: bytes, side: int, name: str) -> tuple[bytes, int | None]:
    """Return a file whose first image Pillow can decode, and its EXIF orientation if the file itself lacks it."""
    if not is_raw(name) or photo[:2] not in (b"II", b"MM"):
        return photo, None  # A JPEG with the name of a RAW file is decoded as what it is.
    embedded = largest_embedded_image(photo)
    if embedded is None:
        raise PhotoRefused(_NO_EMBEDDED_IMAGE)
    wanted = min(side, max(embedded.largest))
    if max(embedded.width, embedded.height) < wanted:
        width, height = embedded.largest
        raise PhotoRefused(
            f"RAW: the largest image that can be decoded has {embedded.width}x{embedded.height} of {width}x{height} "
            "pixels. Export it as JPEG."
        )
    return embedded.file, embedded.orientation


@contextmanager
def _decode_errors_as_refusals(name: str) -> Iterator[None]:
    """Raise ``PhotoRefused`` for every exception that an unusable file causes in Pillow."""
    try:
        with warnings.catch_warnings():
            # Pillow warns about sizes, which _check_memory checks before decoding, and about unusual metadata.
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError:
        formats = ", ".join(MAXIMUM_PIXELS)
        if is_heif(name):
            raise PhotoRefused("HEIC: the file cannot be decoded. Export it as JPEG.") from None
        if is_raw(name):
            raise PhotoRefused(_NO_EMBEDDED_IMAGE) from None
        raise PhotoRefused(f"not an image in a supported format. Save it as one of {formats}.") from None
    except Image.DecompressionBombError:
        maximum = max(MAXIMUM_PIXELS.values())
        raise PhotoRefused(f"more than the maximum of {maximum:,} pixels. Save it smaller.") from None
    except _DECODE_ERRORS as error:
        # Messages of libheif end with a line break.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if is_heif(name):
            raise PhotoRefused(f"HEIC: the file cannot be decoded: {reason}. Export it as JPEG.") from None
        raise PhotoRefused(f"damaged: {reason}. Open it in a photo editor and save it again.") from None


def _decode_and_resize(photo: bytes, orientation: int | None, side: int) -> Image.Image:
    """Return the upright image; ``orientation`` is the EXIF orientation of a photo whose own EXIF has none."""
    _check_tiff_directory(photo)
    with Image.open(io.BytesIO(photo), formats=_PILLOW_FORMATS) as source:
        size = _target_size(source, side)
        _check_memory(source)
        image = _convert_to_srgb(_decode_at_size(source, size), source.info.get("icc_profile"))
        # Read EXIF after decoding: some decoders rotate the image, and some files store EXIF after the pixels.
        # libheif has applied the rotation of a HEIC file (irot, imir), which iPhones repeat in EXIF.
        if source.format != "HEIF":
            orientation = source.getexif().get(_EXIF_ORIENTATION, orientation)
    if orientation in _TRANSPOSE_BY_ORIENTATION:
        image = image.transpose(_TRANSPOSE_BY_ORIENTATION[orientation])
    # Pillow copies a comment from ``info`` into the JPEG. Remove all metadata of the photo.
    image.info = {}
    return image


def _check_tiff_directory(photo: bytes) -> None:
    """Raise ``PhotoRefused`` for a TIFF file whose directory would need more memory than its pixels."""
    if photo[:4] in (b"II+\0", b"MM\0+"):
        raise PhotoRefused("a BigTIFF file. Save it as TIFF or JPEG.")
    if (values := count_values(photo) or 0) > MAXIMUM_TIFF_VALUES:
        raise PhotoRefused(
            f"damaged: its TIFF directory has {values:,} values, more than {MAXIMUM_TIFF_VALUES:,}. Open it in a photo "
            "editor and save it again."
        )


def _target_size(source: Image.Image, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(source.size))
    width, height = (max(1, round(length * scale)) for length in source.size)
    if min(width, height) < MINIMUM_SIDE:
        raise PhotoRefused(
            f"{source.width}x{source.height} pixels, {width}x{height} after resizing, but Bedrock requires at least "
            f"{MINIMUM_SIDE} on each side. Use a larger or less narrow photo."
        )
    return width, height


def _check_memory(source: Image.Image) -> None:
    pixels = source.width * source.height
    maximum = MAXIMUM_PIXELS[source.format or ""]
    if pixels > maximum:
        raise PhotoRefused(
            f"{source.width}x{source.height} pixels, more than the maximum of {maximum:,} for {source.format}. "
            "Save it smaller or as JPEG."
        )
    if isinstance(source, JpegImageFile) and source.info.get("progressive"):
        sampling_areas = [horizontal * vertical for _, horizontal, vertical, _ in source.layer]
        if 2 * pixels * sum(sampling_areas) / max(sampling_areas) > MAXIMUM_COEFFICIENT_BYTES:
            raise PhotoRefused(
                f"{source.width}x{source.height} pixels, too many for a progressive JPEG. Save it as a baseline JPEG."
            )


def _decode_at_size(source: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Decode a photo at a reduced scale if possible and resize it; return an image in mode L, RGB or CMYK."""
    source.draft(None, (round(size[0] * _DECODE_MARGIN), round(size[1] * _DECODE_MARGIN)))
    source.load()
    if source.mode in ("F", "I"):
        raise PhotoRefused("32 bits per pixel have no defined brightness. Save it with 8 or 16 bits.")
    if source.mode in ("L", "RGB", "CMYK") and "transparency" not in source.info:
        return source.resize(size, _FILTER, reducing_gap=2.0)
    return _resize_in_strips(source, size)


def _resize_in_strips(source: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Convert an image of any other mode to RGB strip by strip, which avoids a second full-size image in memory."""
    width, height = source.size
    factor = max(1, min(width // (2 * size[0]), height // (2 * size[1])))
    rows = factor * max(1, _STRIP_PIXELS // (width * factor))
    reduced = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = _rgb_on_white(source.crop((0, top, width, min(top + rows, height))))
        reduced.paste(strip.reduce(factor), (0, top // factor))
    return reduced.resize(size, _FILTER, box=(0, 0, width / factor, height / factor))


def _rgb_on_white(strip: Image.Image) -> Image.Image:
    if strip.mode.startswith("I;16"):
        strip = strip.convert("I").point(lambda value: value / 256).convert("L")
    if strip.mode == "LAB":
        return ImageCms.applyTransform(strip, _lab_to_rgb()) or strip
    if "A" in strip.getbands() or "a" in strip.getbands() or "transparency" in strip.info:
        rgba = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return strip.convert("RGB")


def _convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and (transform := _profile_to_srgb(profile, image.mode)):
        image = ImageCms.applyTransform(image, transform) or image
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _profile_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from an ICC profile to sRGB, or None if the profile is broken or of another mode."""
    try:
        source_profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source_profile, _srgb_profile(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


@cache
def _lab_to_rgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb_profile(), "LAB", "RGB")


@cache
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def check_file_size(size: int) -> None:
    """Raise ``PhotoRefused`` if a photo's file has more bytes than the maximum."""
    if size > MAXIMUM_BYTES:
        raise PhotoRefused(f"{size:,} bytes, more than the maximum of {MAXIMUM_BYTES:,}. Save it smaller.")
