from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.apply import apply_model
from distillation.errors import InvalidRequest


@pytest.mark.parametrize("limits", [{"tolerance": 7.0}, {"max_usd": -1.0}])
def test_invalid_limits_are_rejected_before_anything_starts(limits: dict[str, Any], tmp_path: Path) -> None:
    stage: Any = SimpleNamespace(name="dev", region="us-east-1")  # has no client that could start anything
    with pytest.raises(InvalidRequest, match=next(iter(limits))):
        apply_model("holiday", "r", limits, tmp_path, None, stage, as_json=False)
