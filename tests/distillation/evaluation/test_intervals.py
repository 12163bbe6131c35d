from __future__ import annotations

import numpy as np
import pytest

from distillation.evaluation import intervals


def test_interval_agrees_with_scipy_and_is_reproducible() -> None:
    from scipy import stats

    values = np.random.default_rng(3).random(60)
    ours = intervals.resample({"x": list(values)}, [str(number) for number in range(60)]).mean("x")
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=3).confidence_interval

    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)
    assert ours == intervals.resample({"x": list(values)}, [str(number) for number in range(60)]).mean("x")


def test_near_duplicates_do_not_narrow_an_interval() -> None:
    values = list(np.random.default_rng(4).random(20))
    alone = intervals.resample({"x": values}, [str(number) for number in range(20)]).mean("x")
    copied = intervals.resample({"x": values * 5}, [str(number) for number in range(20)] * 5).mean("x")

    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_difference_is_paired() -> None:
    values = list(np.random.default_rng(6).random(30))
    resampled = intervals.resample({"a": [v + 0.1 for v in values], "b": values}, [str(i) for i in range(30)])
    difference = resampled.difference("a", "b")

    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))


def test_share_of_a_gap_that_is_not_significant_is_none() -> None:
    groups = [str(number) for number in range(30)]
    noise = list(np.random.default_rng(7).normal(0, 0.1, 30))
    resampled = intervals.resample(
        {"low": [0.2] * 30, "middle": [0.4] * 30, "high": [0.6] * 30, "noise": noise}, groups
    )
    share = resampled.share("middle", "low", "high")

    assert share is not None
    assert share.mean == pytest.approx(0.5)
    assert resampled.share("middle", "low", "low") is None
    assert resampled.share("middle", "high", "noise") is None


def test_permutation_agrees_with_scipy() -> None:
    from scipy import stats

    differences = np.random.default_rng(5).normal(0.03, 0.1, 40)
    theirs = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=5)

    assert intervals.permutation_p(list(differences), [str(i) for i in range(40)]) == pytest.approx(
        theirs.pvalue, abs=0.015
    )


def test_holm_corrects_for_the_number_of_sizes() -> None:
    assert intervals.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_curve_recovers_its_law_and_needs_three_sizes() -> None:
    sizes = [100, 300, 900]
    law = {f"n{size}": [0.6 - 0.9 * size**-0.4] * 4 for size in sizes}
    resampled = intervals.resample(law, list("abcd"))
    curve = intervals.fit_curve(sizes, resampled, list(law))

    assert curve is not None
    assert curve.next_size == 1800
    assert curve.expected.mean == pytest.approx(0.6 - 0.9 * 1800**-0.4, abs=0.002)
    assert (curve.line[0].size, curve.line[-1].size) == pytest.approx((100, 1800))
    assert intervals.fit_curve(sizes[:2], resampled, list(law)[:2]) is None


def test_expected_gain_needs_two_sizes_and_recovers_a_law() -> None:
    sizes = [100, 300, 900]
    law = {f"n{size}": [0.6 - 0.9 * size**-0.3] * 4 for size in sizes}
    resampled = intervals.resample(law, list("abcd"))
    names = list(law)
    gain = 0.9 * (900**-0.3 - 2700**-0.3)

    assert intervals.expected_gain(sizes[:1], 300, resampled, names[:1]) is None
    for count, following, expected in ((2, 900, 0.9 * (300**-0.3 - 900**-0.3)), (3, 2700, gain)):
        found = intervals.expected_gain(sizes[:count], following, resampled, names[:count])
        assert found is not None
        assert found.mean == pytest.approx(expected, abs=1e-3)
