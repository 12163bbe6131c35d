"""Measurements of an image's pixels for the teacher: colours, light, edges and composition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from local.models.vocabulary import COLOURS

SIDE = 160
TOP = SIDE // 3
BORDER = 14
SALIENCY_SIDE = 64


@dataclass(frozen=True)
class Scene:
    """Measurements of one photo. Shares and brightness are 0-1; edges are Sobel magnitudes of 8-bit grey values."""

    aspect: float
    brightness: float
    saturation: float
    contrast: float
    lightest: float
    top_brightness: float
    colour_shares: dict[str, float]
    warm_share: float
    cool_share: float
    green_share: float
    blue_top_share: float
    pale_top_share: float
    sunset_share: float
    edge: float
    top_edge: float
    sky_edge: float
    bottom_edge: float
    flat_share: float
    vertical_edges: float
    horizontal_edges: float
    asymmetry: float
    border_spread: float
    sharp_centre: float
    sharp_surround: float
    focus_x: float
    focus_y: float
    focus_concentration: float

    @property
    def has_sky(self) -> bool:
        """True if the top is blue, or pale and much smoother than the bottom."""
        pale = self.pale_top_share > 0.6 and self.bottom_edge > 2.2 * self.sky_edge
        return (self.blue_top_share > 0.45 or pale) and self.sky_edge < 45

    @property
    def has_plain_background(self) -> bool:
        """True if the border has one colour and is not sky."""
        return self.border_spread < 16 and self.blue_top_share <= 0.45


def measure(rgb: np.ndarray) -> Scene:
    """Return the measurements of a photo, uint8 of shape (height, width, 3)."""
    small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    height, width = rgb.shape[:2]
    return Scene(
        aspect=width / height,
        **_colours(small),
        **_edges(small),
        **_composition(small),
    )


def _colours(small: np.ndarray) -> dict:
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(float)
    hue, saturation, value = hsv[..., 0] * 2, hsv[..., 1] / 255, hsv[..., 2] / 255
    grey = _grey(small)
    blue = (hue > 185) & (hue < 255) & (saturation > 0.15) & (value > 0.35)
    golden = (hue < 55) & (saturation > 0.3) & (value > 0.35)
    green = (hue > 65) & (hue < 165) & (saturation > 0.2) & (value > 0.12)
    return {
        "brightness": value.mean(),
        "saturation": saturation.mean(),
        "contrast": grey.std() / 128,
        "lightest": grey.max(),
        "top_brightness": value[:TOP].mean(),
        "colour_shares": _colour_shares(small),
        "warm_share": (((hue < 65) | (hue > 320)) & (saturation > 0.25)).mean(),
        "cool_share": ((hue > 160) & (hue < 265) & (saturation > 0.2)).mean(),
        "green_share": green.mean(),
        "blue_top_share": blue[: TOP + 2].mean(),
        "pale_top_share": ((saturation < 0.15) & (value > 0.75))[: TOP + 2].mean(),
        "sunset_share": golden[:TOP].mean(),
    }


def _colour_shares(small: np.ndarray) -> dict[str, float]:
    """Return for each colour keyword the share of pixels (0-1) whose nearest colour in Lab it is."""
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(float)
    distances = [np.linalg.norm(lab - typical, axis=-1) for typical in _typical_lab().values()]
    nearest = np.argmin(distances, axis=0)
    shares = np.bincount(nearest.ravel(), minlength=len(distances)) / nearest.size
    return dict(zip(_typical_lab(), shares.tolist(), strict=True))


@cache
def _typical_lab() -> dict[str, np.ndarray]:
    return {
        name: cv2.cvtColor(np.array([[rgb]], np.uint8), cv2.COLOR_RGB2LAB)[0, 0].astype(float)
        for name, rgb in COLOURS.items()
    }


def _edges(small: np.ndarray) -> dict:
    grey = _grey(small)
    across, down = cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1)
    edge = np.hypot(across, down)
    sharpness = np.abs(cv2.Laplacian(grey, cv2.CV_64F))
    centre = sharpness[45:115, 45:115]
    return {
        "edge": edge.mean(),
        "top_edge": edge[:TOP].mean(),
        "sky_edge": edge[:45].mean(),
        "bottom_edge": edge[90:].mean(),
        "flat_share": (edge < 15).mean(),
        "vertical_edges": np.abs(across).sum(),
        "horizontal_edges": np.abs(down).sum(),
        "sharp_centre": centre.mean(),
        "sharp_surround": (sharpness.sum() - centre.sum()) / (sharpness.size - centre.size),
    }


def _composition(small: np.ndarray) -> dict:
    grey = _grey(small)
    border = (small[:BORDER], small[:, :BORDER], small[:, -BORDER:])
    saliency = _saliency(grey)
    position = np.linspace(0, 1, SALIENCY_SIDE)
    return {
        "asymmetry": np.abs(grey - grey[:, ::-1]).mean(),
        "border_spread": np.concatenate([part.reshape(-1, 3) for part in border]).astype(float).std(0).mean(),
        "focus_x": saliency.sum(0) @ position,
        "focus_y": saliency.sum(1) @ position,
        "focus_concentration": np.sort(saliency.ravel())[-400:].sum(),
    }


def _saliency(grey: np.ndarray) -> np.ndarray:
    """Return the saliency map, shape (64, 64) with sum 1, by the spectral residual of Hou and Zhang (2007)."""
    spectrum = np.fft.fft2(cv2.resize(grey, (SALIENCY_SIDE, SALIENCY_SIDE)))
    amplitude = np.log(np.abs(spectrum) + 1e-6)
    residual = amplitude - cv2.blur(amplitude, (3, 3))
    energy = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    blurred = cv2.GaussianBlur(energy, (0, 0), 3)
    return blurred / blurred.sum()


def _grey(small: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(float)
