"""How an image looks, in a few numbers: a hash that near-duplicates nearly share, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from operator import mul
from statistics import median

from PIL import Image, ImageFilter, ImageStat

from distillation.records import Flag

DARK_BELOW = 25.0
BRIGHT_ABOVE = 235.0
"""Mean brightness of the image, 0 to 255."""
BLANK_BELOW = 4.0
"""Standard deviation of the brightness, 0 to 255: one colour and its noise."""
BLURRED_BELOW = 8.0
"""Variance of the Laplacian of the brightness (Pech-Pacheco et al. 2000, "Diatom autofocusing"). Of 68 sharp photos 67
lie above 29; blurred with a Gaussian of 2 pixels three in four lie below 8."""
ODD_ASPECT_ABOVE = 3.0

_SIDE = 32
_KEPT = 8
# The cosines of the transform as whole numbers: sums of those are the same on every machine.
_COSINES = [[round(4096 * cos(pi * k * (2 * n + 1) / (2 * _SIDE))) for n in range(_SIDE)] for k in range(_KEPT)]
_STRIPS = 8
_STRIP_ROWS = 8
_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


@dataclass(frozen=True)
class ImageQuality:
    """What Resize tells of an image beside its size."""

    perceptual_hash: str | None
    """16 hexadecimal digits; None for an image without structure, which any other such image would resemble."""
    flags: list[Flag]


def image_quality(image: Image.Image) -> ImageQuality:
    """Describe an RGB image."""
    grey = image.convert("L")
    brightness = ImageStat.Stat(grey)
    mean, deviation = brightness.mean[0], brightness.stddev[0]
    blank = deviation < BLANK_BELOW
    found: dict[Flag, bool] = {
        "dark": mean < DARK_BELOW,
        "bright": mean > BRIGHT_ABOVE,
        "blank": blank,
        "blurred": not blank and _sharpness(grey) < BLURRED_BELOW,
        "odd_aspect": max(image.size) > ODD_ASPECT_ABOVE * min(image.size),
    }
    return ImageQuality(None if blank else f"{_hash(grey):016x}", [flag for flag, is_so in found.items() if is_so])


def _sharpness(grey: Image.Image) -> float:
    """Return the variance of the Laplacian in strips across the image: an eighth of its pixels tells as much as all."""
    rows = max(_STRIP_ROWS, grey.height // (8 * _STRIPS))
    histograms = [_laplacian(grey, top, rows) for top in range(0, grey.height - 2, 8 * rows)]
    return ImageStat.Stat([sum(counts) for counts in zip(*histograms, strict=True)]).var[0]


def _laplacian(grey: Image.Image, top: int, rows: int) -> list[int]:
    strip = grey.crop((0, top, grey.width, min(top + rows + 2, grey.height))).filter(_LAPLACIAN)
    # The filter leaves the outermost pixels as they were.
    return strip.crop((1, 1, strip.width - 1, strip.height - 1)).histogram()


def _hash(grey: Image.Image) -> int:
    """Return 63 bits: which of the lowest frequencies of a cosine transform, but the mean, lie above their median.

    The "pHash" of Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".
    """
    small = list(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0).tobytes())
    rows = [small[start : start + _SIDE] for start in range(0, len(small), _SIDE)]
    across = [[sum(map(mul, cosines, row)) for row in rows] for cosines in _COSINES]
    low = [sum(map(mul, cosines, column)) for column in across for cosines in _COSINES][1:]
    middle = median(low)
    return sum(1 << bit for bit, value in enumerate(low) if value > middle)
