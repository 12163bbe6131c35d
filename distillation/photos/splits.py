"""Divide the images of a collection into training, validation and test sets.

Training sizes are nested: a smaller training set is the beginning of a larger one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distillation import keys
from distillation.answers.formats import Keywords, format_of
from distillation.answers.own_labels import OwnLabels, read_own_labels
from distillation.answers.vocabulary import VOCABULARY_FILE, read_vocabulary
from distillation.documents import Rounds, SplitFacts
from distillation.errors import LABELS_ARE_REUSED, InvalidRequest, ObjectDamaged, TooFewImages, excerpt
from distillation.events import SplitResult
from distillation.inference.rate_limit import concurrent_batches
from distillation.models import catalog
from distillation.photos.inventory import check_refused_photos, read_resize_results
from distillation.photos.near_duplicates import NearDuplicates, group_near_duplicates
from distillation.photos.rounds import RoundLists, plan_rounds
from distillation.photos.set_assignment import Shares, assign_sets, hash_fraction, held_out_images, sample_images
from distillation.records import (
    ConcurrentBatches,
    InventoryLine,
    OwnLabel,
    Round,
    Run,
    SetAssignment,
    SetName,
    SplitLine,
)
from distillation.storage import Bucket
from distillation.telemetry import logger

MINIMUM_IMAGES_FOR_VALIDATION = 200
"""Number of images below which there is no validation set: training needs the images more."""
VALIDATION_SHARE = 0.1
"""Validation set as a share of the images that are not in the test set, 0-1."""
REJECTED = "rejected by your own labels"
"""Reason of a photo with ``no`` in the column ``use`` of labels.csv."""

_NOTES = 5
"""Damaged set assignments that the facts name."""


@dataclass(frozen=True)
class _Assignment:
    """Images with their sets and groups, or with the reason why they are in no set."""

    photos: Mapping[str, InventoryLine]
    """First photo of each image, keyed by image."""
    sets: Mapping[str, SetName]
    """Set names, keyed by image."""
    groups: Mapping[str, str]
    """Names of near-duplicate groups, keyed by image."""
    left_out: Mapping[str, str]
    """Reasons why images are in no set, keyed by image."""
    not_sampled: Container[str]
    """Images that ``sample`` left out."""
    held_out: Container[str]
    """Images that ``test_images`` left out of the test or validation set."""
    rejected: Container[str]
    """Images that the owner's file of labels rejects."""
    notes: list[str]
    """Damaged set assignments of earlier runs that were ignored."""


def split(run: Run, data: Bucket, photos: Bucket) -> SplitResult:
    """Write inventory, sets, own labels, split facts and rounds; return counts.

    Raises ``EmptyCollection``, ``AccessDenied``, ``ToleranceExceeded``, ``TooFewImages``, ``InvalidRequest`` or
    ``ObjectMissing``.
    """
    lines = read_resize_results(run, data, photos)
    check_refused_photos(run, lines)
    _check_vocabulary(run, photos)
    own_labels = read_own_labels(run, photos, lines)
    assignment = _assign(run, lines, own_labels, data)
    sets = _ordered_sets(assignment)
    labels = [label for label in own_labels.labels if label.image in assignment.sets]
    labelled = set() if run.request.own_labels == "gold" else {label.image for label in labels}
    rounds = plan_rounds(run, sets)
    labelled_by: dict[str, Literal["teacher", "owner"]] = dict.fromkeys(assignment.sets, "teacher")
    labelled_by |= dict.fromkeys(labelled, "owner")
    inventory = [_inventory_line(line, assignment, labelled_by) for line in lines]
    counts = _counts(inventory, sets)
    facts = _facts(inventory, assignment, counts, len(labels))
    _write(run, inventory, sets, labels, facts, data)
    write_rounds(run, rounds, labelled, data)
    return SplitResult(**counts)


def _check_vocabulary(run: Run, photos: Bucket) -> None:
    """Raise ``InvalidRequest`` if ``vocabulary.csv`` was uploaded or changed after Prepare read the collection."""
    answer_format = format_of(run)
    if not isinstance(answer_format, Keywords):
        return
    if answer_format.vocabulary and answer_format.vocabulary_file != VOCABULARY_FILE:
        return  # The prompt's own terms come before those of the collection.
    terms = read_vocabulary(run.collection, photos)
    if terms is not None and terms != answer_format.vocabulary:
        raise InvalidRequest(
            f"{VOCABULARY_FILE} in {excerpt(run.collection)!r} was uploaded or changed after the run started, so the "
            "teacher would not be asked with its terms. Put distill.json again, when the upload is complete."
        )


def write_rounds(run: Run, rounds: Sequence[RoundLists], labelled: Container[str], data: Bucket) -> None:
    """Write the lists of images of each round, without ``labelled`` ones to label, and then the rounds."""
    written: list[Round] = []
    for number, lists in enumerate(rounds):
        to_label = [line for line in lists.to_label if line.image not in labelled]
        round_ = Round(
            number=number,
            kind=lists.kind,
            sizes=lists.sizes,
            to_label=len(to_label),
            to_label_key=keys.split_key(run.name, f"to-label-{number}"),
            to_predict_key=keys.split_key(run.name, f"to-predict-{number}"),
            concurrent_batches=ConcurrentBatches(
                label=concurrent_batches(run, run.teacher.model, len(to_label), run.concurrency.label),
                predict=concurrent_batches(run, run.teacher.model, len(lists.to_predict), run.concurrency.predict),
            ),
        )
        data.write_lines(round_.to_label_key, (line.model_dump() for line in to_label))
        data.write_lines(round_.to_predict_key, (line.model_dump() for line in lists.to_predict))
        written.append(round_)
    data.write_document(keys.rounds_key(run.name), Rounds(rounds=written))


def check_image_count(run: Run, images: int) -> None:
    """Raise ``TooFewImages`` if there are fewer usable images than the request's ``min_images``."""
    if images < run.request.min_images:
        raise TooFewImages(
            f"{excerpt(run.collection)!r} has {images} usable images. At least {run.request.min_images} are needed to "
            "train and test. Add photos or lower min_images, and start again."
        )


def read_split(run: Run, name: str, data: Bucket) -> Iterator[SplitLine]:
    """Yield the images of a list; ``keys.split_key`` has the names."""
    return data.read_records(keys.split_key(run.name, name), SplitLine)


def read_counted_split(run: Run, name: str, data: Bucket) -> list[SplitLine]:
    """Return the images of a set, in order. Raises ``ObjectDamaged`` if they are more or fewer than Split counted."""
    facts = data.read_document(keys.split_facts_key(run.name), SplitFacts)
    lines, count = list(read_split(run, name, data)), getattr(facts, name)
    if len(lines) != count:
        raise ObjectDamaged(
            f"s3://{data.name}/{keys.split_key(run.name, name)} has {len(lines)} images, but Split wrote {count}. It "
            f"was changed or cut off. Start the run again. {LABELS_ARE_REUSED}"
        )
    return lines


def read_checked_split(run: Run, name: str, inventory: Iterable[InventoryLine], data: Bucket) -> list[SplitLine]:
    """Return the images of a set, in order.

    Raises ``ObjectDamaged`` if they are not the images that the inventory has in the set.
    """
    lines = list(read_split(run, name, data))
    _check_images(run, name, [line.image for line in lines], inventory, data)
    return lines


def read_checked_images(run: Run, name: str, inventory: Iterable[InventoryLine], data: Bucket) -> list[str]:
    """Return the names of the images of a set; see ``read_checked_split``, which needs more memory."""
    images = [line.image for line in read_split(run, name, data)]
    _check_images(run, name, images, inventory, data)
    return images


def _check_images(run: Run, name: str, in_set: Iterable[str], inventory: Iterable[InventoryLine], data: Bucket) -> None:
    images = set(in_set)
    # Not the set of the inventory's images: their names would be in memory twice.
    unknown, not_listed = set(images), set[str]()
    for line in inventory:
        if line.image and line.set == name:
            unknown.discard(line.image)
            if line.image not in images:
                not_listed.add(line.image)
    if difference := unknown | not_listed:
        expected = len(images) - len(unknown) + len(not_listed)
        raise ObjectDamaged(
            f"s3://{data.name}/{keys.split_key(run.name, name)} has {len(images)} images, but the inventory has "
            f"{expected} in this set; {len(difference)} differ, first {min(difference)}. It was changed or cut "
            f"off. Start the run again. {LABELS_ARE_REUSED}"
        )


def first_photo_by_image(lines: list[InventoryLine]) -> dict[str, InventoryLine]:
    """Return the first photo of each image, keyed by image. Photos that give the same JPEG are one image."""
    photos: dict[str, InventoryLine] = {}
    for line in lines:
        if line.image is not None:
            photos.setdefault(line.image, line)
    return photos


def mark_duplicate(line: InventoryLine, first_photos: Mapping[str, InventoryLine]) -> InventoryLine:
    """Return the line with status ``duplicate`` if another photo is the first of its image, else unchanged."""
    if line.image is None or first_photos[line.image].photo == line.photo:
        return line
    return line.model_copy(update={"status": "duplicate", "reason": "same image as another photo"})


def _assign(run: Run, lines: list[InventoryLine], own_labels: OwnLabels, data: Bucket) -> _Assignment:
    photos = first_photo_by_image(lines)
    flagged = {image: flags for image, line in photos.items() if (flags := _excluded_flags(run, line))}
    rejected = own_labels.rejected
    usable = photos.keys() - flagged.keys() - rejected
    check_image_count(run, len(usable))
    near_duplicates = NearDuplicates({image: photos[image].perceptual_hash for image in usable})
    sample = usable if run.request.sample is None else sample_images(usable, near_duplicates, run.request.sample)
    _check_sample(run, len(sample))
    notes: list[str] = []
    assigned = _assign_and_store_sets(run, sample, near_duplicates, _strata(run, own_labels.labels), data, notes)
    held_out = held_out_images(assigned, run.request.test_images)
    sets: dict[str, SetName] = {image: name for image, name in assigned.items() if image not in held_out}
    left_out = {image: f"{', '.join(flags)}: excluded by exclude_flags" for image, flags in flagged.items()}
    left_out |= dict.fromkeys(rejected, REJECTED)
    left_out |= dict.fromkeys(usable - sample, f"not in the sample of {run.request.sample} images")
    left_out |= dict.fromkeys(sample - assigned.keys(), "near-duplicate of images in two sets")
    left_out |= {
        image: f"held out: the {name} set has test_images ({run.request.test_images}) images without it"
        for image, name in held_out.items()
    }
    return _Assignment(
        photos=photos,
        sets=sets,
        groups=group_near_duplicates(sets, near_duplicates),
        left_out=left_out,
        not_sampled=usable - sample,
        held_out=held_out,
        rejected=rejected,
        notes=notes[:_NOTES],
    )


def _excluded_flags(run: Run, line: InventoryLine) -> list[str]:
    return [flag for flag in line.flags if flag in run.request.exclude_flags]


def _check_sample(run: Run, images: int) -> None:
    if images < run.request.min_images:
        raise TooFewImages(
            f"sample {run.request.sample} takes {images} images, fewer than min_images {run.request.min_images}, "
            "because near-duplicates are taken together. Raise sample and start again."
        )


def _strata(run: Run, labels: Iterable[OwnLabel]) -> dict[str, str]:
    """Return the classes of the images with your own labels; empty if the answer format has no classes."""
    answer_format = format_of(run)
    strata = {label.image: answer_format.stratum(answer_format.parse(label.text)) for label in labels}
    return {image: stratum for image, stratum in strata.items() if stratum is not None}


def _assign_and_store_sets(
    run: Run,
    images: Collection[str],
    near_duplicates: NearDuplicates,
    strata: Mapping[str, str],
    data: Bucket,
    damaged: list[str],
) -> dict[str, SetName]:
    """Assign sets as earlier runs did, and store the sets of new images for later runs.

    Assignments that cannot be read are added to ``damaged``. Their images are assigned as new ones.
    """
    family = catalog.get_model(run.student).family
    has_validation = len(images) >= MINIMUM_IMAGES_FOR_VALIDATION and family.validation_file
    validation_share = VALIDATION_SHARE if has_validation else 0.0
    shares = Shares(run.request.test_share, validation_share, run.request.test_images)
    prefix = keys.set_assignments_prefix(run.collection, family.name, run.image_side, run.request.test_share)
    earlier: dict[str, SetName] = {}
    for key in data.keys(prefix):
        for line in data.read_intact_records(key, SetAssignment, damaged):
            earlier.setdefault(line.image, line.set)
    if damaged:
        logger.warning("damaged set assignments ignored", run=run.name, lines=len(damaged), first=damaged[0])
    assigned = assign_sets(images, near_duplicates, earlier, shares, strata)
    new = sorted(assigned.keys() - earlier.keys())
    if new:
        data.put_lines_if_absent(
            keys.set_assignments_key(prefix, run.created, run.name),
            (SetAssignment(image=image, set=assigned[image]).model_dump() for image in new),
        )
    return assigned


def _ordered_sets(assignment: _Assignment) -> dict[SetName, list[SplitLine]]:
    """Return the images of each set, sorted by a hash so that every training size begins with the same images."""
    sets: dict[SetName, list[SplitLine]] = {"train": [], "validation": [], "test": []}
    for name, members in sets.items():
        images = (image for image, set_name in assignment.sets.items() if set_name == name)
        for image in sorted(images, key=lambda image: hash_fraction(name, image)):
            line = assignment.photos[image]
            members.append(
                SplitLine(
                    image=image,
                    group=assignment.groups[image],
                    photo=line.photo,
                    width=line.width or 0,
                    height=line.height or 0,
                    set=name,
                )
            )
    return sets


def _inventory_line(
    line: InventoryLine, assignment: _Assignment, labelled_by: Mapping[str, Literal["teacher", "owner"]]
) -> InventoryLine:
    """Return a photo's line with its set, group and labeler, or with the reason why it is not used."""
    if line.image is None:
        return line
    if reason := assignment.left_out.get(line.image):
        return line.model_copy(update={"status": "excluded", "reason": reason})
    line = mark_duplicate(line, assignment.photos).model_copy(update={"group": assignment.groups[line.image]})
    if line.status == "duplicate":
        return line
    image = line.image or ""
    return line.model_copy(update={"set": assignment.sets[image], "labelled_by": labelled_by[image]})


def _counts(inventory: list[InventoryLine], sets: Mapping[SetName, list[SplitLine]]) -> dict[str, int]:
    return {
        "photos": sum(line.status != "ignored" for line in inventory),
        "refused": sum(line.status == "refused" for line in inventory),
        "images": sum(map(len, sets.values())),
        **{name: len(members) for name, members in sets.items()},
    }


def _facts(
    inventory: list[InventoryLine], assignment: _Assignment, counts: Mapping[str, int], own_labels: int
) -> SplitFacts:
    flags = Counter(flag for line in inventory if line.status != "duplicate" for flag in line.flags)
    group_sizes = Counter(line.group for line in inventory if line.group)
    group_count = len(set(assignment.groups.values()))
    not_sampled, held_out, rejected = (
        sum(1 for line in inventory if line.image and line.image in images)
        for images in (assignment.not_sampled, assignment.held_out, assignment.rejected)
    )
    leaked = _expected_leaked_photos(group_sizes.values(), counts["test"] / counts["images"])
    return SplitFacts(
        **counts,
        excluded=sum(line.status == "excluded" for line in inventory) - not_sampled - held_out,
        not_sampled=not_sampled,
        held_out=held_out,
        rejected=rejected,
        exact_duplicates=sum(line.status == "duplicate" for line in inventory),
        near_duplicates=len(assignment.groups) - group_count,
        groups=group_count,
        leaked_by_random_split=round(leaked, 1),
        flags=dict(sorted(flags.items())),
        own_labels=own_labels,
        skipped=dict(Counter(line.reason or "" for line in inventory if line.status == "ignored")),
        notes=assignment.notes,
    )


def _expected_leaked_photos(group_sizes: Iterable[int], test_share: float) -> float:
    """Return how many test photos would have a near-duplicate in the training set if each photo was drawn alone."""
    return sum(size * test_share * (1 - test_share ** (size - 1)) for size in group_sizes)


def _write(
    run: Run,
    inventory: list[InventoryLine],
    sets: Mapping[SetName, list[SplitLine]],
    labels: list[OwnLabel],
    facts: SplitFacts,
    data: Bucket,
) -> None:
    data.write_lines(keys.inventory_key(run.name), [line.model_dump(exclude_defaults=True) for line in inventory])
    for name, members in sets.items():
        data.write_lines(keys.split_key(run.name, name), [line.model_dump() for line in members])
    if labels:
        data.write_lines(keys.own_labels_key(run.name), [label.model_dump() for label in labels])
    data.write_document(keys.split_facts_key(run.name), facts)
