from __future__ import annotations

import pickle
import random

import numpy as np

from local.models.network import CLASSES, EMBEDDING
from local.models.student import PIXELS, fit
from tests.local.models.conftest import PairResults, jaccard


def agreement_on_test_images(pair: PairResults, labels: list[list[str]]) -> float:
    head = fit(pair.features[:26], labels[:26], 2)
    predictions = [head.keywords(features) for features in pair.features[26:]]
    return float(np.mean([jaccard(*answers) for answers in zip(predictions, pair.labels[26:], strict=True)]))


def test_student_learns_from_labels_and_not_from_shuffled_labels(pair: PairResults) -> None:
    shuffled = pair.labels[:26]
    random.Random(1).shuffle(shuffled)
    base = [pair.student.recognise(features).keywords for features in pair.features[26:]]
    before = np.mean([jaccard(*answers) for answers in zip(base, pair.labels[26:], strict=True)])
    tuned = agreement_on_test_images(pair, pair.labels)

    assert tuned > before + 0.1
    assert tuned > agreement_on_test_images(pair, shuffled) + 0.05


def test_order_of_the_records_does_not_matter(pair: PairResults) -> None:
    forward = fit(pair.features, pair.labels, 2)
    backward = fit(pair.features[::-1], pair.labels[::-1], 2)

    assert forward.keywords(pair.features[0]) == backward.keywords(pair.features[0])


def test_training_loss_falls(pair: PairResults) -> None:
    head = fit(pair.features, pair.labels, 1)

    assert head.losses[-1][2] < head.losses[0][2] / 2
    assert pair.features.shape == (36, CLASSES + EMBEDDING + PIXELS)


def test_size_of_a_head_does_not_depend_on_the_number_of_records(pair: PairResults) -> None:
    def size(copies: int) -> int:
        return len(pickle.dumps(fit(np.tile(pair.features[:12], (copies, 1)), pair.labels[:12] * copies, 1)))

    # The losses are the same numbers of steps, and the answers go through nothing else.
    assert size(2) == size(20)


def test_recognition_counts_only_if_it_explains_the_training_labels(pair: PairResults) -> None:
    shuffled = random.Random(1).sample(pair.labels, len(pair.labels))

    assert fit(pair.features, shuffled, 1).known_word_weight == 0
    if pair.student.__class__.__name__ == "Student":
        assert fit(pair.features, pair.labels, 1).known_word_weight > 0
