"""Agreement of answers: the Jaccard index per image, and what its mean can be compared with.

ceiling: the teacher against itself. floor: answers against the labels of other images. control: the
commonest keywords of the training labels, for every image. Intervals are 95 % percentile bootstrap
intervals over the test images (Efron and Tibshirani, 1993).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
SEED = 20_250_701

Keywords = frozenset[str]


@dataclass(frozen=True)
class Mean:
    """A mean and its 95 % interval over the test images."""

    mean: float
    low: float
    high: float

    def as_json(self) -> dict[str, object]:
        """Return ``{mean, ci95: [low, high]}``."""
        return {"mean": self.mean, "ci95": [self.low, self.high]}


def jaccard(one: Keywords, other: Keywords) -> float:
    """Return shared over all keywords, from 0 to 1; two empty answers agree in nothing."""
    union = one | other
    return len(one & other) / len(union) if union else 0.0


def agreement(answers: Mapping[str, Keywords], labels: Mapping[str, Keywords]) -> list[float]:
    """Return the score of each labelled image, in the labels' order; no answer scores 0."""
    return [jaccard(answers.get(image, frozenset()), label) for image, label in labels.items()]


def floor(answers: Mapping[str, Keywords], labels: Mapping[str, Keywords]) -> list[float]:
    """Return each image's mean score against the labels of all other images."""
    return [
        statistics.fmean(
            jaccard(answers.get(image, frozenset()), label) for other, label in labels.items() if other != image
        )
        for image in labels
    ]


def control(training: Sequence[Keywords]) -> Keywords:
    """Return the commonest keywords of the training labels, as many as a label has in the median."""
    counts = Counter(keyword for label in training for keyword in sorted(label))
    length = round(statistics.median(len(label) for label in training))
    ranked = sorted(counts, key=lambda keyword: (-counts[keyword], keyword))
    return frozenset(ranked[:length])


def mean(scores: Sequence[float]) -> Mean:
    """Return the mean of scores with its interval; seeded, so that a report can be repeated."""
    values = np.asarray(scores, dtype=float)
    picks = np.random.default_rng(SEED).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return Mean(float(values.mean()), float(low), float(high))
