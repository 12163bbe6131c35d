"""Workload of a run: exact after Split, predicted from photo sizes before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distillation import keys
from distillation.documents import SplitFacts
from distillation.models import catalog
from distillation.photos.rounds import images_to_choose_size, training_sizes
from distillation.photos.set_assignment import MINIMUM_TEST_IMAGES
from distillation.photos.splits import (
    MINIMUM_IMAGES_FOR_VALIDATION,
    VALIDATION_SHARE,
    check_image_count,
    read_counted_split,
)
from distillation.records import Dimensions, Round, Run, SplitLine
from distillation.storage import Bucket


@dataclass(frozen=True)
class Workload:
    """Dimensions of the images that models are asked about and trained on."""

    to_label: Sequence[Dimensions]
    """One entry for each label that the teacher is asked for."""
    labels_reused: int
    """Labels that earlier runs paid for."""
    to_ask_for_ceiling: Sequence[Dimensions]
    """One entry for each second answer of the teacher, for the ceiling."""
    train: Sequence[Dimensions]
    """Training set."""
    test: Sequence[Dimensions]
    """Test set."""
    validation: Sequence[Dimensions]
    """Validation images that all tuned models are asked about; empty if the size is chosen on the test images."""
    sizes: list[int]
    """Training sizes, in images."""
    images: int
    """Distinct images."""
    photos: int
    """Photos."""
    photo_bytes: int = 0
    """Bytes of the photos; 0 if unknown."""
    predicted: bool = False
    """Whether the split is predicted."""


def measure_workload(run: Run, round_: Round, data: Bucket) -> Workload:
    """Return the workload of a round, without the answers that earlier runs paid for."""
    to_label = list(data.read_records(round_.to_label_key, SplitLine))
    test, validation, train = (read_counted_split(run, name, data) for name in ("test", "validation", "train"))
    facts = data.read_document(keys.split_facts_key(run.name), SplitFacts)
    samples = range(run.request.samples_per_image)
    unlabelled = _unanswered(run.teacher.id, to_label, samples, data)
    return Workload(
        to_label=_dimensions(unlabelled),
        labels_reused=len(to_label) * len(samples) - len(unlabelled),
        to_ask_for_ceiling=_dimensions(_unanswered(run.ceiling.id, test, [run.ceiling_sample], data)),
        train=_dimensions(train),
        test=_dimensions(test),
        validation=_dimensions(images_to_choose_size(round_.sizes, validation)),
        sizes=round_.sizes,
        images=facts.images,
        photos=facts.photos,
    )


def predict_workload(run: Run, images: Sequence[Dimensions], photo_bytes: int) -> Workload:
    """Return the workload predicted from image sizes, as if no photo were a duplicate.

    Raises ``TooFewImages`` or ``InvalidRequest`` as Split does.
    """
    check_image_count(run, len(images))
    validated = len(images) >= MINIMUM_IMAGES_FOR_VALIDATION and catalog.get_model(run.student).family.validation_file
    test = max(MINIMUM_TEST_IMAGES, round(len(images) * run.request.test_share))
    validation = round((len(images) - test) * VALIDATION_SHARE) if validated else 0
    train = len(images) - test - validation
    sizes = training_sizes(run, train, validation)
    # Every image is equally likely in each set, so evenly spaced images represent a set.
    return Workload(
        to_label=_evenly(images, max(sizes) + validation + test) * run.request.samples_per_image,
        labels_reused=0,
        to_ask_for_ceiling=_evenly(images, test),
        train=_evenly(images, train),
        test=_evenly(images, test),
        validation=images_to_choose_size(sizes, _evenly(images, validation)),
        sizes=sizes,
        images=len(images),
        photos=len(images),
        photo_bytes=photo_bytes,
        predicted=True,
    )


def _unanswered(labeler: str, lines: list[SplitLine], samples: Sequence[int], data: Bucket) -> list[SplitLine]:
    """Return a line for each answer that no run has paid for."""
    stored = set(data.keys(keys.labels_prefix(labeler)))
    wanted = ((line, keys.label_key(labeler, line.image, sample)) for line in lines for sample in samples)
    return [line for line, key in wanted if key not in stored]


def _dimensions(lines: Sequence[SplitLine]) -> list[Dimensions]:
    return [line.dimensions for line in lines]


def _evenly(images: Sequence[Dimensions], count: int) -> list[Dimensions]:
    return [images[position * len(images) // count] for position in range(count)]
