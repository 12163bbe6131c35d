"""Sampling at a temperature: the image is changed slightly before the teacher sees it. Needs no OpenCV."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps


def perturbed(image: Image.Image, temperature: float, seed: int) -> Image.Image:
    """Crop, mirror and re-encode an image; a higher temperature (0-1) changes more, and a seed repeats the change."""
    if temperature <= 0:
        return image
    strength = min(temperature, 1.0)
    random = np.random.default_rng(seed)
    width, height = image.size
    left, top, right, bottom = random.uniform(0, 0.06 * strength, 4)
    box = (
        round(left * width),
        round(top * height),
        width - round(right * width),
        height - round(bottom * height),
    )
    changed = image.convert("RGB").crop(box)
    if random.random() < 0.5:
        changed = ImageOps.mirror(changed)
    encoded = io.BytesIO()
    changed.save(encoded, "JPEG", quality=round(95 - 35 * strength * random.random()))
    return Image.open(encoded).convert("RGB")
