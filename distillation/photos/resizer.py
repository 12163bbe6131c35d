"""One photo's bytes to one JPEG: upright, sRGB, on white, no larger than asked, without metadata."""

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

from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from distillation.photos.quality import ImageQuality, image_quality

MAXIMUM_PIXELS = {
    "JPEG": 100_000_000,
    "MPO": 100_000_000,
    "PNG": 45_000_000,
    "WEBP": 14_000_000,
    "GIF": 45_000_000,
    "TIFF": 25_000_000,
    "BMP": 34_000_000,
    "AVIF": 24_000_000,
}
"""By format, as many as are decoded within 300 MB. Also the list of formats: a decoder that is not named here never
sees a byte of the photo."""
_OPENED_AS = tuple(name for name in MAXIMUM_PIXELS if name != "MPO")  # an MPO is found out by the JPEG decoder
MAXIMUM_COEFFICIENT_BYTES = 200 * 1024 * 1024
"""A progressive JPEG is held as coefficients, two bytes each, before any of it can be decoded."""
MAXIMUM_BYTES = 100 * 1024 * 1024
MINIMUM_SIDE = 25
"""Bedrock refuses training images with a shorter side (aws/nova-forge-sdk)."""

# Chosen by benchmarks/resize.py. A JPEG is decoded at the smallest of 1/8, 1/4 and 1/2 that leaves this much for the
# filter; HAMMING costs half of LANCZOS, and what it loses of fine detail the encoder, set finer, loses less of.
_DECODE_MARGIN = 1.25
_FILTER = Image.Resampling.HAMMING
_ENCODER = {"quality": 90, "subsampling": "4:2:2"}
_STRIP_PIXELS = 1_000_000
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises for truncated, damaged or hostile files.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError, RuntimeError, struct.error, zlib.error),
)


class PhotoRefused(Exception):
    """A photo cannot be used; the message is the reason that its owner reads."""


@dataclass(frozen=True)
class ResizedImage:
    """A JPEG, and the pixels that it was made of."""

    jpeg: bytes
    pixels: Image.Image

    def quality(self) -> ImageQuality:
        """Describe how the image looks, without decoding anything again."""
        return image_quality(self.pixels)


def resize(photo: bytes, side: int) -> ResizedImage:
    """Bring a photo to at most ``side`` pixels on its longer side; raises ``PhotoRefused``.

    The same bytes give the same JPEG. Small photos are not enlarged. Of an animation the first frame is taken.
    """
    if not photo:
        raise PhotoRefused("the file is empty")
    if len(photo) > MAXIMUM_BYTES:
        raise PhotoRefused(f"{len(photo):,} bytes, more than {MAXIMUM_BYTES:,}; save it smaller")
    with _refusing():
        image = _image(photo, side)
    output = io.BytesIO()
    image.save(output, "JPEG", **_ENCODER)
    return ResizedImage(output.getvalue(), image)


def size_after(photo: BinaryIO, side: int) -> tuple[int, int]:
    """Return the size of the image that a photo becomes, from its header alone; raises ``PhotoRefused``."""
    with _refusing(), Image.open(photo, formats=_OPENED_AS) as opened:
        _check_memory(opened)
        return _target(opened, side)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever a file that is no usable photo makes Pillow raise into ``PhotoRefused``."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes, which are checked before anything is decoded, and of odd metadata.
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError:
        raise PhotoRefused(f"not an image that can be read ({', '.join(MAXIMUM_PIXELS)})") from None
    except Image.DecompressionBombError:
        raise PhotoRefused(f"more than {max(MAXIMUM_PIXELS.values()):,} pixels; save it smaller") from None
    except _DAMAGE as error:
        raise PhotoRefused(f"damaged: {error or type(error).__name__}; save it anew") from None


def _image(photo: bytes, side: int) -> Image.Image:
    with Image.open(io.BytesIO(photo), formats=_OPENED_AS) as opened:
        size = _target(opened, side)
        _check_memory(opened)
        image = _in_srgb(_reduced(opened, size), opened.info.get("icc_profile"))
        # Asked for after decoding: some formats turn by themselves, and some keep EXIF behind the pixels.
        orientation = opened.getexif().get(_ORIENTATION)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    # Pillow would write a comment into the JPEG; nothing of what the photo said beside its pixels goes on.
    image.info = {}
    return image


def _target(opened: Image.Image, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(opened.size))
    width, height = (max(1, round(length * scale)) for length in opened.size)
    if min(width, height) < MINIMUM_SIDE:
        raise PhotoRefused(
            f"{opened.width}x{opened.height} pixels, {width}x{height} after resizing; Bedrock wants at least "
            f"{MINIMUM_SIDE} on each side"
        )
    return width, height


def _check_memory(opened: Image.Image) -> None:
    pixels = opened.width * opened.height
    maximum = MAXIMUM_PIXELS[opened.format or ""]
    if pixels > maximum:
        raise PhotoRefused(
            f"{opened.width}x{opened.height} pixels, more than the {maximum:,} that a {opened.format} may have; "
            "save it smaller or as JPEG"
        )
    if isinstance(opened, JpegImageFile) and opened.info.get("progressive"):
        areas = [horizontal * vertical for _, horizontal, vertical, _ in opened.layer]
        if 2 * pixels * sum(areas) / max(areas) > MAXIMUM_COEFFICIENT_BYTES:
            raise PhotoRefused(
                f"{opened.width}x{opened.height} pixels, too many for a progressive JPEG; save it as a baseline JPEG"
            )


def _reduced(opened: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Decode at no more than the scale needed and bring to ``size``; the result is L, RGB or CMYK."""
    opened.draft(None, (round(size[0] * _DECODE_MARGIN), round(size[1] * _DECODE_MARGIN)))
    opened.load()
    if opened.mode in ("F", "I"):
        raise PhotoRefused("pixels of 32 bits have no defined brightness; save it with 8 or 16 bits")
    if opened.mode in ("L", "RGB", "CMYK") and "transparency" not in opened.info:
        return opened.resize(size, _FILTER, reducing_gap=2.0)
    return _flattened(opened, size)


def _flattened(opened: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Bring any other mode to RGB, strip by strip, so that no second image of full size is ever held."""
    width, height = opened.size
    factor = max(1, min(width // (2 * size[0]), height // (2 * size[1])))
    rows = factor * max(1, _STRIP_PIXELS // (width * factor))
    whole = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = _rgb_on_white(opened.crop((0, top, width, min(top + rows, height))))
        whole.paste(strip.reduce(factor), (0, top // factor))
    return whole.resize(size, _FILTER, box=(0, 0, width / factor, height / factor))


def _rgb_on_white(strip: Image.Image) -> Image.Image:
    if strip.mode.startswith("I;16"):
        strip = strip.convert("I").point(lambda value: value / 256).convert("L")
    if strip.mode == "LAB":
        return ImageCms.applyTransform(strip, _from_lab()) or strip
    if "A" in strip.getbands() or "a" in strip.getbands() or "transparency" in strip.info:
        rgba = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return strip.convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and (transform := _transform(profile, image.mode)):
        image = ImageCms.applyTransform(image, transform) or image
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a photo's profile to sRGB; None for a broken or mismatched one, worse than none."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


@cache
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB")


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
