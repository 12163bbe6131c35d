"""A teacher and a student that use colours and layout only, for machines without the models' wheels.

Their ids say so: ``local.teacher-pixels-v1:0`` and ``local.student-pixels-v1:0``. They recognise no objects.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from local.models.answer_forms import Recognition, confidences_of
from local.models.network import CLASSES, EMBEDDING
from local.models.student import HUES, PIXELS, colours_and_layout, untrained_recognition
from local.models.vocabulary import COLOURS

MINIMUM_KEYWORDS = 15
MAXIMUM_KEYWORDS = 25
_PLACES = ("top", "middle", "bottom")
_PLAIN = ("plain", "uniform", "minimal", "few colors")
"""Keywords that fill up the answer about a photo of few colours."""


class PixelTeacher:
    """Teacher that gives 15 to 25 keywords about colours, light and layout."""

    def recognise(self, image: Image.Image) -> Recognition:
        """Return what the pixels show; the result is the same for the same image."""
        keywords = self._keywords(image)
        first, second, *others = keywords
        return Recognition(
            keywords=keywords,
            confidences=confidences_of((word, 1 - rank / len(keywords)) for rank, word in enumerate(keywords)),
            subject=f"{first} shapes",
            counts={},
            threshold=0.0,
            sentence=(f"A photo in {first} and {second}", *(f"with {word} parts" for word in others)),
            paragraph=tuple(f"One part of the photo is {word}." for word in keywords),
        )

    def _keywords(self, image: Image.Image) -> list[str]:
        rgb = np.asarray(image.convert("RGB").resize((48, 48)), np.float32)
        grey, spread = rgb.mean(2) / 255, rgb.max(2) - rgb.min(2)
        colours = _nearest_colours(rgb)
        words = _dominant(colours, 5)
        for place, rows in zip(_PLACES, np.split(colours, 3), strict=True):
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
        return [*distinct, *_PLAIN[: max(0, MINIMUM_KEYWORDS - len(distinct))]][:MAXIMUM_KEYWORDS]


class PixelStudent:
    """Student without a network: its features are 92 numbers about colours and layout."""

    def features(self, image: Image.Image) -> np.ndarray:
        """Return float32 of shape (2548,), with zeros in place of the network's outputs."""
        no_network = np.zeros(CLASSES + EMBEDDING, np.float32)
        return np.concatenate([no_network, colours_and_layout(image.convert("RGB"))])

    def recognise(self, features: np.ndarray) -> Recognition:
        """Return what the student sees before training: two hues, brightness and orientation."""
        pixels = features[-PIXELS:]
        hues = [HUES[index] for index in np.argsort(-pixels[:12])[:2]]
        light = "bright" if pixels[20:28] @ np.arange(8) > 4 else "dark"
        orientation = "horizontal" if pixels[-1] > 0.1 else "vertical"
        keywords = list(dict.fromkeys([*hues, light, orientation, "photo", "image", "picture"]))
        return untrained_recognition(keywords, [(word, 0.5) for word in keywords])


def _nearest_colours(rgb: np.ndarray) -> np.ndarray:
    """Return the index in ``COLOURS`` of the colour that is nearest to each pixel, from shape (48, 48, 3)."""
    # The squared distance without the pixel's own length. Its terms are whole numbers that float32 holds exactly.
    colours = np.array(list(COLOURS.values()), np.float32)
    return np.argmin(np.square(colours).sum(1) - 2 * (rgb @ colours.T), axis=-1)


def _dominant(colours: np.ndarray, count: int) -> list[str]:
    """Return the names of at most ``count`` colours, most frequent first."""
    names = list(COLOURS)
    share = np.bincount(colours.ravel(), minlength=len(names))
    return [names[index] for index in np.argsort(-share, kind="stable")[:count] if share[index] > 0]
