from __future__ import annotations

import pytest

from distillation.models.image_tokens import RULES


@pytest.mark.parametrize(
    ("rule", "width", "height", "tokens"),
    [
        ("nova-v1", 900, 600, 864),
        ("nova-v1", 300, 200, 864),
        ("nova-v1", 6000, 4000, 38_400),
        ("nova-2", 300, 200, 230),
        ("nova-2", 6000, 4000, 230),
        ("claude", 300, 200, 80),
        ("claude", 6000, 4000, 2185),
    ],
)
def test_tokens_follow_the_rule_of_the_family(rule: str, width: int, height: int, tokens: int) -> None:
    assert RULES[rule](width, height) == tokens
