"""Statistical power: the smallest difference that a test set can detect."""

from __future__ import annotations

from math import ceil, sqrt
from statistics import NormalDist

TYPICAL_SD = 0.10
"""Standard deviation of paired Jaccard differences per image, assumed until a run has measured it."""
MINIMUM_VALIDATION_IMAGES = 50
"""Number of validation images from which the best of several sizes is chosen on them, not on the test images."""


def minimum_detectable_difference(
    test_images: int, sd: float = TYPICAL_SD, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Return the smallest mean difference that a paired two-sided test detects, in units of the score (0-1).

    ``sd`` is the standard deviation of the differences per image, ``power`` the probability of detection. Uses the
    normal approximation (z(1 - alpha/2) + z(power)) sd / sqrt(n) (Miller 2024, arXiv 2411.00640).
    Raises ``ValueError`` without test images.
    """
    if test_images < 1:
        raise ValueError(f"test_images must be at least 1 (got {test_images})")
    return _quantiles(alpha, power) * sd / sqrt(test_images)


def required_test_images(
    difference: float, sd: float = TYPICAL_SD, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Return the number of test images that detect a mean difference; None if it is not above 0.

    The reverse of ``minimum_detectable_difference``.
    """
    return ceil((_quantiles(alpha, power) * sd / difference) ** 2) if difference > 0 else None


def _quantiles(alpha: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
