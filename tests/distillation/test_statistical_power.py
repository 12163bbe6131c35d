from __future__ import annotations

import pytest

from distillation.statistical_power import minimum_detectable_difference, required_test_images


@pytest.mark.parametrize(("images", "difference"), [(30, 0.051), (100, 0.028), (300, 0.016), (1000, 0.009)])
def test_detectable_difference_shrinks_with_the_square_root_of_the_test_size(images: int, difference: float) -> None:
    assert minimum_detectable_difference(images, sd=0.1) == pytest.approx(difference, abs=5e-4)


def test_test_set_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        minimum_detectable_difference(0)


@pytest.mark.parametrize("images", [19, 100, 1000])
def test_required_images_are_those_that_detect_the_difference(images: int) -> None:
    needed = required_test_images(minimum_detectable_difference(images, sd=0.2) + 1e-9, sd=0.2)

    assert needed == images


@pytest.mark.parametrize("difference", [0.0, -0.1])
def test_no_number_of_images_detects_a_difference_that_is_not_above_zero(difference: float) -> None:
    assert required_test_images(difference) is None
