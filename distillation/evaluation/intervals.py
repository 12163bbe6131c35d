"""Uncertainty of scores: bootstrap intervals, permutation test, Holm correction and scaling curve.

The sampling unit is the group of near-duplicates, because images of one group vary together (Miller 2024,
arXiv 2411.00640). All series share the same resamples, so that differences and ratios are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distillation.documents import Curve, CurvePoint, Interval

RESAMPLES = 10_000
SEED = 20_250_701
_CHUNK_CELLS = 2_000_000
"""Cells of one chunk of resamples: about 60 MB while they are counted, whatever the number of images."""
_EXPONENTS = np.linspace(0.05, 2.0, 40)
_TYPICAL_EXPONENT = np.array([0.3])
"""Exponent of a curve through two sizes, which do not show how it bends.

It predicts the third size with the smallest error; see ``python -m benchmarks.growth``.
"""


@dataclass(frozen=True)
class Resampled:
    """Means of several series over the images, and over 10,000 bootstrap resamples of their groups."""

    means: dict[str, float]
    """Mean by series."""
    draws: dict[str, np.ndarray]
    """Means of the resamples by series, shape (RESAMPLES,)."""

    def mean(self, name: str) -> Interval:
        """Return the mean of a series with its percentile interval (Efron and Tibshirani 1993)."""
        return _interval(self.means[name], self.draws[name])

    def difference(self, minuend: str, subtrahend: str, comparisons: int = 1) -> Interval:
        """Return the paired mean difference ``minuend - subtrahend`` with its interval.

        ``comparisons`` is the number of differences that this one was chosen from: the interval is corrected for it
        (Bonferroni).
        """
        value, draws = self.means[minuend] - self.means[subtrahend], self.draws[minuend] - self.draws[subtrahend]
        return _interval(value, draws, comparisons)

    def share(self, name: str, bottom: str, top: str) -> Interval | None:
        """Return ``(name - bottom) / (top - bottom)``; None if top is not significantly above bottom."""
        if self.difference(top, bottom).low <= 0:
            return None
        value = (self.means[name] - self.means[bottom]) / (self.means[top] - self.means[bottom])
        gap = self.draws[top] - self.draws[bottom]
        # A resample without a gap has no share of it. The interval of the gap starts above zero, so fewer than 2.5 %
        # of the resamples are dropped.
        positive = gap > 0
        return _interval(value, (self.draws[name] - self.draws[bottom])[positive] / gap[positive])


def resample(series: Mapping[str, Sequence[float]], groups: Sequence[str]) -> Resampled:
    """Draw groups with replacement, ``RESAMPLES`` times, with a fixed seed; ``groups`` has each image's group."""
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
    """Return the two-sided p value of a mean of 0: flip the signs of groups ``RESAMPLES`` times, with a fixed seed."""
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


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values corrected for their number (Holm 1979), under the same names."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - rank)))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def fit_curve(sizes: Sequence[int], resampled: Resampled, names: Sequence[str]) -> Curve | None:
    """Fit ``a - b n^-c`` to the scores of three training sizes or more; return None for fewer.

    The curve runs from the smallest size to twice the largest. Its intervals come from fitting each resample anew.
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
    return Curve(
        line=[
            CurvePoint(size=float(size), mean=point.mean, ci95=point.ci95)
            for size, point in zip(at, intervals, strict=True)
        ],
        next_size=2 * max(sizes),
        expected=intervals[-1],
        gain=_interval(fitted[-2] - fitted[-1], draws[:, -2] - draws[:, -1]),
    )


def expected_gain(sizes: Sequence[int], next_size: int, resampled: Resampled, names: Sequence[str]) -> Interval | None:
    """Return the expected gain from the largest of two sizes or more to ``next_size``; None for one size.

    The curve is that of ``fit_curve``. With two sizes its exponent is assumed.
    """
    if len(sizes) < 2:
        return None
    exponents = _EXPONENTS if len(sizes) > 2 else _TYPICAL_EXPONENT
    where = np.array([max(sizes), next_size], float)
    scores = [np.column_stack([means[name] for name in names]) for means in (resampled.means, resampled.draws)]
    (fitted,), draws = (_fit(np.array(sizes, float), rows, where, exponents) for rows in scores)
    return _interval(fitted[1] - fitted[0], draws[:, 1] - draws[:, 0])


def _fit(sizes: np.ndarray, scores: np.ndarray, where: np.ndarray, exponents: np.ndarray = _EXPONENTS) -> np.ndarray:
    """Return the values at ``where`` of the curve that fits each row of ``scores`` best.

    ``b`` is at least 0: more images never lower the score.
    """
    best = np.full(len(scores), np.inf)
    values = np.zeros((len(scores), len(where)))
    for exponent in exponents:
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
    """Return each image's group number, and the number of images of each group."""
    _, members, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return members, sizes


def _weights(groups: int) -> Iterator[np.ndarray]:
    """Yield chunks of rows; a row has how often one resample drew each group."""
    generator = np.random.default_rng(SEED)
    rows = max(1, _CHUNK_CELLS // groups)
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        drawn = generator.integers(0, groups, (count, groups), dtype=np.int32)
        # Numbered through all rows, so that one call counts every row.
        drawn += np.arange(0, count * groups, groups, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * groups).reshape(count, groups).astype(float)


def _interval(value: float, draws: np.ndarray, comparisons: int = 1) -> Interval:
    low, high = np.percentile(draws, [2.5 / comparisons, 100 - 2.5 / comparisons])
    return Interval(mean=float(value), ci95=(float(low), float(high)))
