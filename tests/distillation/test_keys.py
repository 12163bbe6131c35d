from __future__ import annotations

import re

import pytest

from distillation.keys import model_name, run_name


@pytest.mark.parametrize("collection", ["holiday/", "Ünïcode (1)/é+%/", "-/", "", "x" * 200 + "/"])
def test_names_are_valid_at_bedrock(collection: str) -> None:
    name = model_name(run_name(collection, "v"), 20_000, 2)

    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
