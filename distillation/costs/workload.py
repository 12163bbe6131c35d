"""What a run has to do, counted: exactly once Split has run, or predicted from the sizes of photos before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distillation import keys
from distillation.models import catalog
from distillation.photos.set_assignment import MINIMUM_TEST_IMAGES
from distillation.photos.splits import (
    MINIMUM_IMAGES_FOR_VALIDATION,
    VALIDATION_SHARE,
    check_image_count,
    training_sizes,
)
from distillation.records import Run, SplitLine
from distillation.storage import Bucket

Size = tuple[int, int]
"""Width and height of an image, after resizing, in pixels."""


@dataclass(frozen=True)
class Workload:
    """``to_label`` and ``to_sample`` have an image for each answer that the teacher is still to be asked for."""

    to_label: Sequence[Size]
    labels_reused: int
    to_sample: Sequence[Size]
    train: Sequence[Size]
    test: Sequence[Size]
    sizes: list[int]
    images: int
    photos: int
    photo_bytes: int = 0
    """0 where it is not known."""
    predicted: bool = False


def measure_workload(run: Run, sizes: list[int], data: Bucket) -> Workload:
    """Count what Split left; what earlier runs have paid for already is counted out."""
    to_label, test, train = (read_split(data, run, name) for name in ("to-label", "test", "train"))
    facts = data.read_json(keys.split_facts_key(run.name))
    samples = range(run.request.samples_per_image)
    unlabelled = _unanswered(data, run.teacher.id, to_label, samples)
    return Workload(
        to_label=_sizes(unlabelled),
        labels_reused=len(to_label) * len(samples) - len(unlabelled),
        to_sample=_sizes(_unanswered(data, run.ceiling.id, test, [run.ceiling_sample])),
        train=_sizes(train),
        test=_sizes(test),
        sizes=sizes,
        images=facts["images"],
        photos=facts["photos"],
    )


def predict_workload(run: Run, images: Sequence[Size], photo_bytes: int) -> Workload:
    """Predict the split from nothing but sizes: duplicates are not known, and every image falls by the shares.

    Raises ``TooFewImages`` or ``InvalidRequest`` as Split would.
    """
    check_image_count(run, len(images))
    validated = len(images) >= MINIMUM_IMAGES_FOR_VALIDATION and catalog.get_model(run.student).family.validation_file
    test = max(MINIMUM_TEST_IMAGES, round(len(images) * run.request.test_share))
    validation = round((len(images) - test) * VALIDATION_SHARE) if validated else 0
    train = len(images) - test - validation
    sizes = training_sizes(run, train, validation)
    # Every image is as likely in one set as in another: evenly spaced ones stand for each.
    return Workload(
        to_label=_evenly(images, max(sizes) + validation + test) * run.request.samples_per_image,
        labels_reused=0,
        to_sample=_evenly(images, test),
        train=_evenly(images, train),
        test=_evenly(images, test),
        sizes=sizes,
        images=len(images),
        photos=len(images),
        photo_bytes=photo_bytes,
        predicted=True,
    )


def read_split(data: Bucket, run: Run, name: str) -> list[SplitLine]:
    """Return a set of images of a run: ``train``, ``test``, ``validation`` or ``to-label``."""
    return [SplitLine.model_validate(line) for line in data.read_lines(keys.split_key(run.name, name))]


def _unanswered(data: Bucket, labeler: str, lines: list[SplitLine], samples: Sequence[int]) -> list[SplitLine]:
    """Return a line for each answer that no run has paid for yet."""
    kept = set(data.keys(keys.labels_prefix(labeler)))
    wanted = ((line, keys.label_key(labeler, line.image, sample)) for line in lines for sample in samples)
    return [line for line, key in wanted if key not in kept]


def _sizes(lines: Sequence[SplitLine]) -> list[Size]:
    return [(line.width, line.height) for line in lines]


def _evenly(images: Sequence[Size], count: int) -> list[Size]:
    return [images[position * len(images) // count] for position in range(count)]
