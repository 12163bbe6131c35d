"""Perceptual hash: 63 bits that hardly change when an image is compressed, scaled or brightened.

This is "pHash" from Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".
"""

from __future__ import annotations

from math import cos, pi
from operator import mul
from statistics import median

from PIL import Image

_SIDE = 32
_FREQUENCIES = 8
# Cosines of the discrete cosine transform as integers: their sums are the same on every machine.
_COSINES = [[round(4096 * cos(pi * k * (2 * n + 1) / (2 * _SIDE))) for n in range(_SIDE)] for k in range(_FREQUENCIES)]


def perceptual_hash(greyscale: Image.Image) -> str:
    """Return the hash of an image in mode ``L`` as 16 hexadecimal digits.

    Each bit says whether one of the lowest frequencies, except the mean, is above their median.
    """
    pixels = list(greyscale.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0).tobytes())
    rows = [pixels[start : start + _SIDE] for start in range(0, len(pixels), _SIDE)]
    row_transforms = [[sum(map(mul, cosines, row)) for row in rows] for cosines in _COSINES]
    coefficients = [sum(map(mul, cosines, column)) for column in row_transforms for cosines in _COSINES][1:]
    threshold = median(coefficients)
    bits = sum(1 << bit for bit, coefficient in enumerate(coefficients) if coefficient > threshold)
    return f"{bits:016x}"
