"""Rounds of a run: which images the teacher labels, and which training sizes follow, in each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from distillation.errors import InvalidRequest, TooFewImages
from distillation.inference.text_examples import EXAMPLE_CANDIDATES
from distillation.models import catalog
from distillation.models.hyperparameters import record_count
from distillation.records import Run, SetName, SplitLine, Until
from distillation.statistical_power import MINIMUM_VALIDATION_IMAGES

GROW_ABOVE = 1_000
"""Number of training images above which a run grows unless the request says otherwise."""
GROWTH_FACTOR = 3
"""Training images of a round, in multiples of the round before."""
CEILING_IMAGES = 200
"""Test images, the first of their set, that the teacher is asked about a second time."""
_STOPS_AFTER_ALL_LABELS: tuple[Until, ...] = ("LabelImages", "ValidateDataset")
_TRAINS_NOTHING: tuple[Until, ...] = ("Baseline", "LabelImages")

Image = TypeVar("Image")


@dataclass(frozen=True)
class RoundLists:
    """Images of one round."""

    kind: Literal["baseline", "training"]
    sizes: list[int]
    """Training sizes of this and all earlier rounds."""
    to_label: list[SplitLine]
    """Images that need a label in this round, those with your own labels included."""
    to_predict: list[SplitLine]
    """Images that models are asked about."""


def plan_rounds(run: Run, sets: Mapping[SetName, Sequence[SplitLine]]) -> list[RoundLists]:
    """Return the rounds that a run may have. Raises ``TooFewImages`` or ``InvalidRequest`` as ``training_sizes`` does.

    A label that an earlier round of the run asks for is not listed again.
    """
    train, validation, test = sets["train"], sets["validation"], sets["test"]
    sizes = training_sizes(run, len(train), len(validation))
    steps = [sizes[: position + 1] for position in range(len(sizes))] if grows(run, len(train)) else [sizes]
    rounds: list[RoundLists] = []
    if has_baseline(run):
        compared = test[:CEILING_IMAGES]
        to_label = [*compared, *train[:EXAMPLE_CANDIDATES]]
        rounds.append(RoundLists("baseline", [], to_label, _with_ceiling(compared)))
    listed = {line.image for lists in rounds for line in lists.to_label}
    for step in steps:
        needed = [*train[: max(step)], *validation, *test]
        to_label = [line for line in needed if line.image not in listed]
        listed.update(line.image for line in to_label)
        to_predict = [*_with_ceiling(test), *images_to_choose_size(step, validation)]
        rounds.append(RoundLists("training", step, to_label, to_predict))
    return rounds


def has_baseline(run: Run) -> bool:
    """Return whether a run measures the alternatives to training: not if it stops after its labels or its dataset.

    A run that stops after Estimate does, because its estimate has the cost of all rounds.
    """
    until = run.request.until
    return until == "Baseline" or (run.request.baseline and until not in _STOPS_AFTER_ALL_LABELS)


def grows(run: Run, train: int) -> bool:
    """Return whether a run with ``train`` training images labels and trains in growing rounds.

    A run that stops before it trains cannot know how far to grow. It labels all images unless the request has ``grow``.
    """
    if run.request.train_sizes:
        return False
    if run.request.grow is None:
        return train > GROW_ABOVE and run.request.until not in _STOPS_AFTER_ALL_LABELS
    return run.request.grow


def growth_sizes(first: int, available: int) -> list[int]:
    """Return training sizes from ``first`` up to all ``available`` images, each three times as large as the one before.

    The last size is ``available``, 1.5 to 4.5 times the one before.
    """
    sizes: list[int] = []
    following = first
    while available >= 1.5 * following:
        sizes.append(following)
        following *= GROWTH_FACTOR
    return [*sizes, available]


def _with_ceiling(test: Sequence[SplitLine]) -> list[SplitLine]:
    """Return the test images, with the first ones marked for the ceiling."""
    return [line.model_copy(update={"ceiling": position < CEILING_IMAGES}) for position, line in enumerate(test)]


def training_sizes(run: Run, train: int, validation: int) -> list[int]:
    """Return the requested training sizes, limited to the number of available images.

    Raises ``TooFewImages`` or ``InvalidRequest`` if a size has fewer records than the student's family needs. A run
    that stops before its dataset is written needs one training image, so that a prompt can be tried on few images.
    """
    family = catalog.get_model(run.student).family
    minimum = 1 if run.request.until in _TRAINS_NOTHING else family.minimum_records
    if record_count(run.request, train) < minimum:
        remedy = "Raise sample" if run.request.sample else "Add photos"
        raise TooFewImages(
            f"{train} training images are left after the test and validation sets, but {run.student!r} needs at least "
            f"{minimum} records. {remedy}, lower test_share or raise duplicate_records."
        )
    available = min(train, family.maximum_records - validation)
    if grows(run, train):
        sizes = growth_sizes(run.request.grow_from, available)
    else:
        # A larger size is reduced to what is available; the report says so.
        sizes = sorted({min(size, available) for size in run.request.train_sizes or [available]})
    if record_count(run.request, min(sizes)) < minimum:
        field = "grow_from" if grows(run, train) else "train_sizes"
        raise InvalidRequest(
            f"{field}: {min(sizes)} images give fewer than the {minimum} records that {run.student!r} needs. Raise "
            f"{field} or duplicate_records."
        )
    return sizes


def images_to_choose_size(sizes: Sequence[int], validation: Sequence[Image]) -> Sequence[Image]:
    """Return the validation images that all tuned models are asked about, so that the best size is chosen on them.

    Empty with a single size. Also empty with too few images; then the size is chosen on the test images.
    """
    return validation if len(sizes) > 1 and len(validation) >= MINIMUM_VALIDATION_IMAGES else []
