"""Runs of ``python -m benchmarks.growth`` with planted scores."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.growth import stopped_run

SIZES = [30, 90, 300]


def run(scores: Sequence[float]) -> tuple[int, str, float]:
    """Return where a run of 300 training images stops whose score is the same for every test image."""
    by_size = dict(zip(SIZES, scores, strict=True))
    stopped = stopped_run(lambda size: [by_size[size]] * 20, SIZES[0], SIZES[-1], 20)
    return stopped.size, stopped.reason, stopped.missing


def test_run_stops_where_the_curve_is_flat_and_otherwise_uses_all_images() -> None:
    assert run([0.4, 0.405, 0.41]) == (90, "flat", pytest.approx(0.005))
    assert run([0.4, 0.5, 0.6]) == (300, "all images", pytest.approx(0.0))


def test_run_that_stops_early_costs_less_than_one_that_grows_to_the_end() -> None:
    stopped = stopped_run(lambda _: [0.4] * 20, SIZES[0], SIZES[-1], 20)

    assert 0 < stopped.usd < stopped.usd_at_once < stopped.usd_to_the_end
