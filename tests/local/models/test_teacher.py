from __future__ import annotations

import numpy as np

from local.models.sampling import perturbed
from tests.local.models.conftest import PairResults, jaccard


def test_teacher_gives_the_requested_number_of_keywords_and_always_the_same(pair: PairResults) -> None:
    for image, label in zip(pair.images[:6], pair.labels, strict=False):
        assert 12 <= len(label) == len(set(label)) <= 25
        assert pair.teacher.look(image).keywords == label


def test_teacher_agrees_with_its_own_samples_well_but_not_fully(pair: PairResults) -> None:
    samples = [pair.teacher.look(perturbed(image, 0.5, 1)).keywords for image in pair.images[:12]]
    agreement = np.mean([jaccard(*answers) for answers in zip(samples, pair.labels, strict=False)])

    assert 0.6 < agreement < 1
