from __future__ import annotations

import pytest
from PIL import Image, ImageFilter

from distillation.photos.quality import image_quality


def noise(size: tuple[int, int] = (300, 200)) -> Image.Image:
    return Image.effect_noise(size, 60)


@pytest.mark.parametrize(
    ("image", "flags"),
    [
        (noise(), []),
        (noise().point(lambda value: value * 0.1), ["dark"]),
        (noise().point(lambda value: 240 + value * 0.05), ["bright", "blank"]),
        (Image.new("L", (300, 200), 128), ["blank"]),
        (noise().filter(ImageFilter.GaussianBlur(2)), ["blurred"]),
        (noise((700, 200)), ["odd_aspect"]),
    ],
)
def test_image_is_flagged_with_its_problems(image: Image.Image, flags: list[str]) -> None:
    assert image_quality(image).flags == flags
