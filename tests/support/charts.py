"""Charts of reports, which most tests do not look at, and which take most of the time of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import pytest

from distillation.evaluation import charts


@contextmanager
def charts_drawn_once() -> Iterator[None]:
    """Draw a chart of the same scores only once: the SVG depends on nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("change_chart", "distribution_chart", "loss_chart", "outcome_chart", "scaling_chart"):
            patch.setattr(charts, name, _drawn_once(getattr(charts, name)))
        yield


def _drawn_once(draw: Callable[..., str | None]) -> Callable[..., str | None]:
    drawn: dict[str, str | None] = {}

    @wraps(draw)
    def chart(*scores: object) -> str | None:
        key = repr(scores)
        if key not in drawn:
            drawn[key] = draw(*scores)
        return drawn[key]

    return chart
