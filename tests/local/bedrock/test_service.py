from __future__ import annotations

import io

import pytest
from PIL import Image

from local.bedrock.protocol import BedrockError
from local.bedrock.service import decode_image


def test_small_file_of_an_image_too_large_to_decode_is_refused() -> None:
    body = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(body, "PNG")

    with pytest.raises(BedrockError, match="cannot be decoded"):
        decode_image(body.getvalue())
