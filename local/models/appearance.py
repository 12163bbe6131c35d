"""What a student sees by itself: colour, light, edges and layout as plain numbers, without any keyword attached.

Only numpy and Pillow are needed. Which numbers stand for which keyword is for training to find out.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 96
SPECTRUM_SIDE = 64
# Hue sectors in degrees, from red round to purple; the first one wraps.
HUE_EDGES = (20, 45, 70, 160, 200, 255, 290, 340)
GREY_EDGES = (0.2, 0.4, 0.65, 0.85)
GREYISH = 0.12


def appearance(image: Image.Image) -> np.ndarray:
    """Return the numbers of one photo, float32, in the order of ``appearance_names``."""
    return np.array([number for _, number in _numbers(image.convert("RGB"))], np.float32)


@cache
def appearance_names() -> tuple[str, ...]:
    """Name each of the numbers."""
    return tuple(name for name, _ in _numbers(Image.new("RGB", (SIDE, SIDE))))


def _numbers(image: Image.Image) -> Iterator[tuple[str, float]]:
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    rgb = np.asarray(small, np.float32)
    hue, saturation, value = np.moveaxis(np.asarray(small.convert("HSV"), np.float32) / 255, 2, 0)
    grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    yield from _colour_shares(hue * 360, saturation, value)
    yield from _places_of_colour(hue * 360, saturation, value)
    yield from _light(saturation, value, grey)
    yield from _edges(grey)
    yield from _layout(rgb, grey)
    yield from _focus(image)
    yield "aspect", float(np.log(image.width / image.height))


def _colour_shares(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> Iterator[tuple[str, float]]:
    """Divide the colour solid into greys of five depths and hues that are pale, full or dark."""
    grey = (saturation < GREYISH) | (value < GREY_EDGES[0])
    depth = np.digitize(value, GREY_EDGES)
    for level in range(len(GREY_EDGES) + 1):
        yield f"grey {level}", _share(grey & (depth == level))
    sector = np.digitize(hue, HUE_EDGES) % len(HUE_EDGES)
    strength = np.where(value < 0.55, 2, np.where(saturation < 0.42, 0, 1))
    for index in range(len(HUE_EDGES)):
        for level, name in enumerate(("pale", "full", "dark")):
            yield f"hue {index} {name}", _share(~grey & (sector == index) & (strength == level))


def _places_of_colour(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> Iterator[tuple[str, float]]:
    """Say how much of the whole and of the top, middle and bottom third is warm, green, blue or pale."""
    coloured = (saturation > 0.2) & (value > 0.15)
    masks = {
        "warm": coloured & ((hue < 65) | (hue > 320)),
        "green": coloured & (hue > 65) & (hue < 165),
        "blue": coloured & (hue > 165) & (hue < 265),
        "pale": (saturation < 0.15) & (value > 0.75),
    }
    for name, mask in masks.items():
        yield name, _share(mask)
        for place, third in zip(("top", "middle", "bottom"), np.array_split(mask, 3), strict=True):
            yield f"{name} {place}", _share(third)


def _light(saturation: np.ndarray, value: np.ndarray, grey: np.ndarray) -> Iterator[tuple[str, float]]:
    thirds = np.array_split(value, 3)
    yield "saturation", float(saturation.mean())
    yield "saturation spread", float(saturation.std())
    yield "vivid", _share(saturation > 0.6)
    yield "colourless", _share(saturation < 0.1)
    yield "brightness", float(value.mean())
    yield "brightness top", float(thirds[0].mean())
    yield "brightness bottom", float(thirds[2].mean())
    yield "greyness", float(grey.mean() / 255)
    yield "contrast", float(grey.std() / 128)
    yield "shadows", _share(value < 0.2)
    yield "highlights", _share(value > 0.8)


def _edges(grey: np.ndarray) -> Iterator[tuple[str, float]]:
    down, across = np.gradient(grey)
    edge = np.hypot(across, down)
    thirds = [_log(third.mean()) for third in np.array_split(edge, 3)]
    yield "edges", _log(edge.mean())
    yield "edges top", thirds[0]
    yield "edges bottom", thirds[2]
    yield "edges bottom to top", thirds[2] - thirds[0]
    yield "flat", _share(edge < 3)
    yield "upright to level edges", float(np.log((np.abs(across).sum() + 1) / (np.abs(down).sum() + 1)))
    fine = np.abs(4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:])
    centre = fine[26:68, 26:68]
    surround = (fine.sum() - centre.sum()) / (fine.size - centre.size)
    yield "sharpness centre to surround", _log(centre.mean()) - _log(surround)


def _layout(rgb: np.ndarray, grey: np.ndarray) -> Iterator[tuple[str, float]]:
    border = np.concatenate([part.reshape(-1, 3) for part in (rgb[:8], rgb[:, :8], rgb[:, -8:])])
    yield "asymmetry", _log(np.abs(grey - grey[:, ::-1]).mean())
    yield "border spread", _log(border.std(0).mean())


def _focus(image: Image.Image) -> Iterator[tuple[str, float]]:
    """Find what stands out: whitening the spectrum leaves what repeats nowhere else in the photo."""
    side = SPECTRUM_SIDE
    grey = np.asarray(image.convert("L").resize((side, side), Image.Resampling.BOX), np.float32)
    spectrum = np.fft.fft2(grey)
    amplitude = np.log(np.abs(spectrum) + 1e-6)
    around = sum(np.roll(amplitude, shift, (0, 1)) for shift in np.ndindex(3, 3)) / 9
    around = np.roll(around, (-1, -1), (0, 1))
    energy = np.abs(np.fft.ifft2(np.exp(amplitude - around + 1j * np.angle(spectrum)))) ** 2
    blur = _gaussian(side, sigma=3)
    energy = blur @ energy @ blur.T
    energy /= energy.sum()
    position = np.linspace(-0.5, 0.5, side)
    yield "focus off centre across", float(abs(energy.sum(0) @ position))
    yield "focus off centre down", float(abs(energy.sum(1) @ position))
    yield "focus concentration", float(np.sort(energy.ravel())[-400:].sum())


def _gaussian(side: int, sigma: float) -> np.ndarray:
    """Return the (side, side) matrix that blurs a column of numbers."""
    distance = np.subtract.outer(np.arange(side), np.arange(side))
    weights = np.exp(-(distance**2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdims=True)


def _share(mask: np.ndarray) -> float:
    return float(mask.mean())


def _log(positive: float) -> float:
    return float(np.log(positive + 0.5))
