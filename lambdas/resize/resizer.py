"""One photo's bytes to one JPEG: upright, sRGB, on white, no larger than asked, without metadata."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

# An explicit list: a decoder that is not named here never sees a byte of the photo. JPEG opens MPO too.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
MAXIMUM_BYTES = 200 * 1024 * 1024
MAXIMUM_PIXELS = 100_000_000
MINIMUM_SIDE = 25
"""Bedrock refuses training images with a shorter side (aws/nova-forge-sdk)."""
JPEG_QUALITY = 90

_SRGB = ImageCms.createProfile("sRGB")


class PhotoRefused(Exception):
    """A photo cannot be used; the message is the reason that its owner reads."""


@dataclass(frozen=True)
class ResizedImage:
    """A JPEG and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


def resize(photo: bytes, side: int) -> ResizedImage:
    """Bring a photo to at most ``side`` pixels on its longer side; raises ``PhotoRefused``.

    The same bytes give the same JPEG. Small photos are not enlarged.
    """
    if not photo:
        raise PhotoRefused("the file is empty")
    try:
        with warnings.catch_warnings():
            # The size is checked below, before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(photo), formats=FORMATS) as opened:
                _check_size(opened)
                image = _upright_rgb(opened, side)
    except UnidentifiedImageError:
        raise PhotoRefused(f"not an image that can be read ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise PhotoRefused(f"more than {MAXIMUM_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError) as error:
        # What Pillow's decoders raise for truncated or damaged files.
        raise PhotoRefused(f"damaged: {error}") from None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    if min(image.size) < MINIMUM_SIDE:
        raise PhotoRefused(
            f"{image.width}x{image.height} pixels after resizing; Bedrock wants at least {MINIMUM_SIDE} on each side"
        )
    output = io.BytesIO()
    image.save(output, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return ResizedImage(output.getvalue(), image.width, image.height)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAXIMUM_PIXELS:
        raise PhotoRefused(f"{image.width}x{image.height} pixels, more than {MAXIMUM_PIXELS:,} in all")


def _upright_rgb(opened: Image.Image, side: int) -> Image.Image:
    """Decode the first frame at no more than the scale needed, turned and in sRGB without alpha."""
    opened.draft("RGB", (side * 2, side * 2))
    image = ImageOps.exif_transpose(opened)
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        image = _to_srgb(image, profile)
    return image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        # A broken or mismatched profile is worse than none: the pixels stay as they are.
        return image
    return converted or image
