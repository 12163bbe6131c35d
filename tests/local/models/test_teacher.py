from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from local.models.sampling import perturbed
from local.models.teacher import muted_stderr
from tests.local.models.conftest import PairResults, jaccard


def test_teacher_gives_the_requested_number_of_keywords_and_always_the_same(pair: PairResults) -> None:
    assert all(12 <= len(label) == len(set(label)) <= 25 for label in pair.labels)
    assert [pair.teacher.recognise(image).keywords for image in pair.images[:3]] == pair.labels[:3]


def test_teacher_agrees_with_its_own_samples_well_but_not_fully(pair: PairResults) -> None:
    samples = [pair.teacher.recognise(perturbed(image, 0.5, 1)).keywords for image in pair.images[:12]]
    agreement = np.mean([jaccard(*answers) for answers in zip(samples, pair.labels, strict=False)])

    assert 0.6 < agreement < 1


def test_nothing_is_printed_while_standard_error_is_muted(capfd: pytest.CaptureFixture[str]) -> None:
    with muted_stderr():
        os.write(2, b"INFO: Created delegate")
    print("after", file=sys.stderr)  # noqa: T201

    assert capfd.readouterr().err == "after\n"
