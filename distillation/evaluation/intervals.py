"""How sure a difference is: intervals, a test, its correction for several sizes, and the scaling curve.

The unit is the group of near-duplicates, an image alone being its own: what varies together is drawn together
(Miller 2024, arXiv 2411.00640). All series are drawn together too, so that differences and ratios are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
SEED = 20_250_701
_CHUNK_CELLS = 2_000_000
"""Cells of one chunk of resamples: 16 MB, whatever the number of images."""
_EXPONENTS = np.linspace(0.05, 2.0, 40)


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float

    def as_json(self) -> dict[str, object]:
        """Return ``{mean, ci95: [low, high]}``."""
        return {"mean": self.mean, "ci95": [self.low, self.high]}


@dataclass(frozen=True)
class Resampled:
    """Means of several series over the images, and over 10,000 bootstrap resamples of their groups."""

    means: dict[str, float]
    draws: dict[str, np.ndarray]

    def mean(self, name: str) -> Interval:
        """Return a mean with its percentile interval (Efron and Tibshirani 1993)."""
        return _interval(self.means[name], self.draws[name])

    def difference(self, one: str, other: str) -> Interval:
        """Return the mean of ``one - other``, paired, with its interval."""
        return _interval(self.means[one] - self.means[other], self.draws[one] - self.draws[other])

    def share(self, name: str, bottom: str, top: str) -> Interval | None:
        """Return ``(name - bottom) / (top - bottom)``; None where top is not surely above bottom."""
        if self.difference(top, bottom).low <= 0:
            return None
        value = (self.means[name] - self.means[bottom]) / (self.means[top] - self.means[bottom])
        gap = self.draws[top] - self.draws[bottom]
        # A resample without a gap has no share of it; of 10,000, fewer than 1 in 40 are such.
        kept = gap > 0
        return _interval(value, (self.draws[name] - self.draws[bottom])[kept] / gap[kept])


def resample(series: Mapping[str, Sequence[float]], groups: Sequence[str]) -> Resampled:
    """Draw groups with replacement, ``RESAMPLES`` times, seeded; ``groups`` names each image's group."""
    members, sizes = _members(groups)
    columns = [np.bincount(members, weights=np.asarray(values, float)) for values in series.values()]
    sums = np.column_stack([*columns, sizes])
    totals = np.concatenate([weights @ sums for weights in _weights(len(sizes))])
    draws = totals[:, :-1] / totals[:, -1:]
    means = sums[:, :-1].sum(axis=0) / sums[:, -1].sum()
    return Resampled(
        {name: float(mean) for name, mean in zip(series, means, strict=True)},
        {name: draws[:, column] for column, name in enumerate(series)},
    )


def permutation_p(differences: Sequence[float], groups: Sequence[str]) -> float:
    """Return the two-sided p of a mean of 0 by flipping the signs of groups, ``RESAMPLES`` times, seeded."""
    members, sizes = _members(groups)
    sums = np.bincount(members, weights=np.asarray(differences, float))
    generator = np.random.default_rng(SEED)
    observed, extreme, done = abs(sums.sum()), 0, 0
    while done < RESAMPLES:
        count = min(RESAMPLES - done, max(1, _CHUNK_CELLS // len(sizes)))
        signs = generator.integers(0, 2, (count, len(sizes)), dtype=np.int8)
        flipped = 2 * (signs.astype(np.float32) @ sums.astype(np.float32)) - sums.sum()
        extreme += int((np.abs(flipped) >= observed * (1 - 1e-5)).sum())
        done += count
    return (extreme + 1) / (RESAMPLES + 1)


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Return p values corrected for their number (Holm 1979), under the same names."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(values, key=lambda name: values[name])):
        largest = max(largest, min(1.0, values[name] * (len(values) - rank)))
        corrected[name] = largest
    return {name: corrected[name] for name in values}


def fit_curve(sizes: Sequence[int], resampled: Resampled, names: Sequence[str]) -> dict[str, object] | None:
    """Fit ``a - b n^-c`` to three sizes or more, and say what the next doubling may bring; else None.

    Returns ``{line: [{size, mean, ci95}], next_size, expected, gain}``: scores from the smallest size to twice
    the largest, with intervals from fitting each bootstrap resample anew.
    """
    if len(sizes) < 3:
        return None
    at = np.geomspace(min(sizes), 2 * max(sizes), 25)
    largest = np.array([float(max(sizes))])
    where = np.concatenate([at, largest])
    means = np.array([[resampled.means[name] for name in names]])
    fitted = _fit(np.array(sizes, float), means, where)[0]
    draws = _fit(np.array(sizes, float), np.column_stack([resampled.draws[name] for name in names]), where)
    intervals = [_interval(fitted[column], draws[:, column]) for column in range(len(at))]
    gain = _interval(fitted[-2] - fitted[-1], draws[:, -2] - draws[:, -1])
    return {
        "line": [{"size": float(size), **band.as_json()} for size, band in zip(at, intervals, strict=True)],
        "next_size": 2 * max(sizes),
        "expected": intervals[-1].as_json(),
        "gain": gain.as_json(),
    }


def _fit(sizes: np.ndarray, scores: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return for each row of scores the best curve's values; ``b >= 0``: more images never harm."""
    best = np.full(len(scores), np.inf)
    values = np.zeros((len(scores), len(where)))
    for exponent in _EXPONENTS:
        x = sizes**-exponent
        centred = x - x.mean()
        slope = np.minimum(0.0, (scores - scores.mean(axis=1, keepdims=True)) @ centred / (centred @ centred))
        top = scores.mean(axis=1) - slope * x.mean()
        error = ((scores - top[:, None] - slope[:, None] * x) ** 2).sum(axis=1)
        better = error < best
        best[better] = error[better]
        values[better] = top[better, None] + slope[better, None] * where**-exponent
    return np.clip(values, 0.0, 1.0)


def _members(groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    _, members, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return members, sizes


def _weights(groups: int):
    """Yield chunks of rows that say how often each group was drawn."""
    generator = np.random.default_rng(SEED)
    rows = max(1, _CHUNK_CELLS // groups)
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        chunk = np.empty((count, groups))
        for row in chunk:
            row[:] = np.bincount(generator.integers(0, groups, groups, dtype=np.int32), minlength=groups)
        yield chunk


def _interval(value: float, draws: np.ndarray) -> Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))
