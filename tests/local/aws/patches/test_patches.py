from __future__ import annotations

import json

import pytest

from local.aws import patches


def test_changed_patch_point_is_refused_by_name() -> None:
    moved = patches.Patch("reason", json, "dumps", ("moved",), lambda original: original)
    with pytest.raises(patches.PatchPointMoved, match=r"ministack \d+\S+ has no json.dumps"):
        patches.apply([moved])
