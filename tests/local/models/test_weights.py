from __future__ import annotations

import pytest

from local.models.weights import STUDENT_BACKBONE, WeightFile, WeightsMissing


def test_file_with_another_sha256_is_refused() -> None:
    other = WeightFile(STUDENT_BACKBONE.package, STUDENT_BACKBONE.requirement, STUDENT_BACKBONE.path, "0" * 64)
    with pytest.raises(WeightsMissing, match="make setup"):
        other.locate()
