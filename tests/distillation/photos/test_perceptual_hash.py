from __future__ import annotations

from pathlib import Path

from PIL import Image

from distillation.photos.near_duplicates import MAXIMUM_DISTANCE
from distillation.photos.perceptual_hash import perceptual_hash

PHOTOS = sorted((Path(__file__).parents[3] / "samples/photos").glob("*.jpg"))[:2]


def distance(image: Image.Image, other: Image.Image) -> int:
    return (int(perceptual_hash(image), 16) ^ int(perceptual_hash(other), 16)).bit_count()


def test_hash_hardly_changes_when_an_image_is_halved_and_differs_between_photos() -> None:
    first, second = (Image.open(path).convert("L") for path in PHOTOS)

    assert distance(first, first.resize((first.width // 2, first.height // 2))) <= MAXIMUM_DISTANCE
    assert distance(first, second) > MAXIMUM_DISTANCE
