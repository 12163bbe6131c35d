from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from local.models.pixels import PixelTeacher
from tests.local.models.conftest import ROOT


@pytest.mark.parametrize("colour", ["black", "white", "red"])
def test_photo_of_one_colour_gets_15_to_25_keywords(colour: str) -> None:
    keywords = PixelTeacher().recognise(Image.new("RGB", (60, 40), colour)).keywords

    assert 15 <= len(set(keywords)) == len(keywords) <= 25


def test_pixels_only_pair_needs_none_of_the_optional_wheels() -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(['cv2', 'onnx', 'ai_edge_litert']))"
    run = f"{blocked}; from local.models.pixels import PixelStudent, PixelTeacher"
    subprocess.run([sys.executable, "-c", run], cwd=ROOT, check=True)
