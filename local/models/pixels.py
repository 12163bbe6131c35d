"""A teacher and a student that look at colours and layout only, for when the models' wheels cannot be had.

Plainly flagged by their names, ``local.teacher-pixels-v1:0`` and ``local.student-pixels-v1:0``: they recognise nothing.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from local.models import student as eyes
from local.models.sampling import perturbed
from local.models.vocabulary import COLOURS

_FEWEST = 15
_PLACES = ("top", "middle", "bottom")
_PLAIN = ("plain", "uniform", "minimal", "few colors")
"""Said of a photo of so few colours that there is little else to say."""


class PixelTeacher:
    """Says 15 to 25 keywords about colours, light and layout."""

    def keywords(self, image: Image.Image) -> list[str]:
        """Return distinct keywords; the same image gives the same keywords."""
        rgb = np.asarray(image.convert("RGB").resize((48, 48)), np.float32)
        grey, spread = rgb.mean(2) / 255, rgb.max(2) - rgb.min(2)
        words = _dominant(rgb, 5)
        for place, rows in zip(_PLACES, np.split(rgb, 3), strict=True):
            words += [f"{word} {place}" for word in _dominant(rows, 2)]
        words.append("bright" if grey.mean() > 0.6 else "dark" if grey.mean() < 0.35 else "medium light")
        words.append("high contrast" if grey.std() > 0.25 else "low contrast")
        words.append("vibrant colors" if spread.mean() > 80 else "muted colors")
        words.append("warm tones" if rgb[..., 0].mean() > rgb[..., 2].mean() else "cool tones")
        vertical, horizontal = (np.abs(part).mean() for part in np.gradient(grey))
        words.append("horizontal lines" if vertical > horizontal else "vertical lines")
        words.append("detailed" if vertical + horizontal > 0.08 else "smooth")
        words.append("horizontal" if image.width > image.height else "vertical")
        distinct = list(dict.fromkeys(words))
        return [*distinct, *_PLAIN[: max(0, _FEWEST - len(distinct))]][:25]

    def sampled_keywords(self, image: Image.Image, temperature: float, seed: int) -> list[str]:
        """Answer as if the photo had been taken a little differently."""
        return self.keywords(perturbed(image, temperature, seed))


class PixelStudent:
    """The student without its network: it learns from 92 numbers about colours and layout."""

    def features(self, image: Image.Image) -> np.ndarray:
        """Return float32 of shape (2548,) with nothing where the network would have looked."""
        blind = np.zeros(eyes.CLASSES + eyes.EMBEDDING, np.float32)
        return np.concatenate([blind, eyes.colours_and_layout(image.convert("RGB"))])

    def base_keywords(self, features: np.ndarray) -> list[str]:
        """Answer untrained: two hues, brightness and format."""
        pixels = features[-eyes.PIXELS :]
        hues = [eyes.HUES[index] for index in np.argsort(-pixels[:12])[:2]]
        light = "bright" if pixels[20:28] @ np.arange(8) > 4 else "dark"
        format_ = "horizontal" if pixels[-1] > 0.1 else "vertical"
        return list(dict.fromkeys([*hues, light, format_, "photo", "image", "picture"]))

    def train(self, features: np.ndarray, answers: list[list[str]], epochs: int, seed: int) -> eyes.Head:
        """Fit a head as the student with a network does."""
        return eyes.fit(features, answers, epochs)


def _dominant(rgb: np.ndarray, count: int) -> list[str]:
    names = list(COLOURS)
    distance = [np.square(rgb - np.array(colour)).sum(-1) for colour in COLOURS.values()]
    share = np.bincount(np.argmin(distance, 0).ravel(), minlength=len(names))
    return [names[index] for index in np.argsort(-share, kind="stable")[:count] if share[index] > 0]
