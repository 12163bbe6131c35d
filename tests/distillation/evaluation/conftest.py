from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.charts import charts_drawn_once


@pytest.fixture(autouse=True, scope="package")
def charts_of_the_package() -> Iterator[None]:
    """Draw each chart once for all tests of this folder."""
    with charts_drawn_once():
        yield
