"""Rules for the input tokens of an image, by the name that catalog.toml gives to a family's ``image_tokens``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

ImageTokenRule = Callable[[int, int], int]
"""Width and height in pixels to input tokens."""


def nova_1_image_tokens(width: int, height: int) -> int:
    """Return area / 625 after Nova v1 has enlarged the longest side to at least 900 pixels.

    The Nova guide gives the tokens of five sizes only: 0.89 to 1.23 times this rule.
    """
    scale = max(1.0, 900 / max(width, height))
    return round(width * height * scale * scale / 625)


def nova_2_image_tokens(width: int, height: int) -> int:
    """Return 230: Nova 2 bills an image of any size the same."""
    return 230


def claude_image_tokens(width: int, height: int) -> int:
    """Return area / 750 after Claude has reduced the longest side to at most 1,568 pixels."""
    scale = min(1.0, 1568 / max(width, height))
    return round(width * height * scale * scale / 750)


RULES: Mapping[str, ImageTokenRule] = MappingProxyType(
    {
        "nova-v1": nova_1_image_tokens,
        "nova-2": nova_2_image_tokens,
        "claude": claude_image_tokens,
    }
)
