"""Divide a collection's images into training, validation and test sets; sizes of training are nested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from distillation import keys
from distillation.answers import own_labels
from distillation.errors import EmptyCollection, InvalidRequest, TooFewImages
from distillation.inference.rate_limit import concurrent_batches
from distillation.models import catalog
from distillation.models.hyperparameters import records
from distillation.photos.near_duplicates import NearDuplicates, group_near_duplicates
from distillation.photos.set_assignment import Shares, assign_sets, hash_fraction
from distillation.records import InventoryLine, Run, SetName, SplitLine
from distillation.storage import Bucket
from distillation.tolerance import check_tolerance

VALIDATION_FROM = 200
"""Images below which a validation set would cost more training examples than it tells."""
VALIDATION_SHARE = 0.1


def split(run: Run, data: Bucket, photos: Bucket) -> dict[str, Any]:
    """Write inventory, sets, own labels and facts; return counts, sizes and the key of the images to label.

    Raises ``EmptyCollection``, ``ToleranceExceeded``, ``TooFewImages`` or ``InvalidRequest``.
    """
    lines = read_inventory(run, data)
    check_refusals(run, lines)
    labels = own_labels.read_own_labels(run, photos, lines)
    images = _wanted(run, first_photos(lines))
    check_enough(run, len(images))
    neighbours = NearDuplicates({image: line.perceptual_hash for image, line in images.items()})
    set_of = _place(run, data, images, neighbours)
    group_of = group_near_duplicates(set_of, neighbours)
    sets = _in_order(images, set_of, group_of)
    sizes = training_sizes(run, len(sets["train"]), len(sets["validation"]))
    own = [label for label in labels if label.image in set_of]
    labelled = {label.image for label in own if run.request.own_labels != "gold"}
    wanted = [*sets["train"][: max(sizes)], *sets["validation"], *sets["test"]]
    to_label = [line for line in wanted if line.image not in labelled]
    by = dict.fromkeys((line.image for line in to_label), "teacher") | dict.fromkeys(labelled, "owner")
    inventory = [_labelled(_entry(run, line, images, set_of, group_of), by) for line in lines]
    counts = _counts(inventory, sets)
    data.write_lines(keys.inventory_key(run.name), [line.model_dump(exclude_defaults=True) for line in inventory])
    for name, members in {**sets, "to-label": to_label}.items():
        data.write_lines(keys.split_key(run.name, name), [line.model_dump() for line in members])
    if own:
        data.write_lines(keys.own_labels_key(run.name), [label.model_dump() for label in own])
    data.write_json(keys.split_facts_key(run.name), counts | _facts(inventory, group_of, counts, len(own)))
    return counts | {
        "sizes": sizes,
        "to_label": len(to_label),
        "to_label_key": keys.split_key(run.name, "to-label"),
        "test_key": keys.split_key(run.name, "test"),
        "concurrent_batches": {
            "label": concurrent_batches(run, run.teacher.model, len(to_label), run.concurrency.label),
            "predict": concurrent_batches(run, run.teacher.model, len(sets["test"]), run.concurrency.predict),
        },
    }


def check_enough(run: Run, images: int) -> None:
    """Raise ``TooFewImages`` for fewer usable images than the request wants."""
    if images < run.request.min_images:
        raise TooFewImages(
            f"{images} usable images in {run.collection!r}, at least {run.request.min_images} are "
            "needed to train and to test; add photos (or lower min_images) and start again"
        )


def training_sizes(run: Run, train: int, validation: int) -> list[int]:
    """Return the training sizes that are asked for and that there is enough for; raises ``TooFewImages``."""
    family = catalog.get_model(run.student).family
    if records(run.request, train) < family.minimum_records:
        raise TooFewImages(
            f"{train} training images are left after the test set; {run.student!r} takes no fewer "
            f"than {family.minimum_records} records; add photos, lower test_share or raise duplicate_records"
        )
    available = min(train, family.maximum_records - validation)
    # A size above what there is becomes what there is; the report says so.
    sizes = sorted({min(size, available) for size in run.request.train_sizes or [available]})
    if records(run.request, min(sizes)) < family.minimum_records:
        raise InvalidRequest(f"train_sizes: {min(sizes)} is below {family.minimum_records}")
    return sizes


def read_inventory(run: Run, data: Bucket) -> list[InventoryLine]:
    """Read the parts of ResizePhotos, in the order of the photos' names."""
    lines = map(InventoryLine.model_validate, data.read_parts(keys.parts_prefix(run.name, "resize")))
    return sorted(lines, key=lambda line: line.photo)


def check_refusals(run: Run, lines: list[InventoryLine]) -> None:
    """Raise ``EmptyCollection``, or ``ToleranceExceeded`` for more refused photos than are tolerated."""
    photos = [line for line in lines if line.status != "ignored"]
    if not photos:
        raise EmptyCollection(f"{run.collection!r} holds no photo; upload some and start again")
    reasons = [f"{line.photo}: {line.reason}" for line in photos if line.status == "refused"]
    check_tolerance(run, "photos", len(photos), reasons, "Remove them or raise 'tolerance'")


def first_photos(lines: list[InventoryLine]) -> dict[str, InventoryLine]:
    """Return the first photo of each image; two photos with the same bytes are one image."""
    images: dict[str, InventoryLine] = {}
    for line in lines:
        if line.image is not None:
            images.setdefault(line.image, line)
    return images


def duplicate_line(line: InventoryLine, images: Mapping[str, InventoryLine]) -> dict[str, str]:
    """Return what is to be said of a photo whose image is another photo's; nothing of the first photo of its image."""
    if line.image is None or images[line.image].photo == line.photo:
        return {}
    return {"status": "duplicate", "reason": "same image as another photo"}


def _wanted(run: Run, images: dict[str, InventoryLine]) -> dict[str, InventoryLine]:
    unwanted = set(run.request.exclude_flags)
    return {image: line for image, line in images.items() if unwanted.isdisjoint(line.flags)}


def _place(
    run: Run, data: Bucket, images: Mapping[str, InventoryLine], neighbours: NearDuplicates
) -> dict[str, SetName]:
    """Place the images as earlier runs did, and keep what is new for later runs."""
    family = catalog.get_model(run.student).family
    validated = len(images) >= VALIDATION_FROM and family.validation_file
    shares = Shares(run.request.test_share, VALIDATION_SHARE if validated else 0.0)
    kept = keys.set_assignments_prefix(run.collection, family.name, run.side, run.request.test_share)
    earlier: dict[str, SetName] = {}
    for line in data.read_parts(kept):
        earlier.setdefault(line["image"], line["set"])
    placed = assign_sets(images, neighbours, earlier, shares)
    new = {image: name for image, name in sorted(placed.items()) if image not in earlier}
    if new:
        data.put_lines_if_absent(
            keys.set_assignments_key(kept, run.created, run.name),
            ({"image": image, "set": name} for image, name in new.items()),
        )
    return placed


def _in_order(
    images: Mapping[str, InventoryLine], set_of: Mapping[str, SetName], group_of: Mapping[str, str]
) -> dict[SetName, list[SplitLine]]:
    """Return the sets, each in an order that is its own: the first images of training are the same at every size."""
    sets: dict[SetName, list[SplitLine]] = {"train": [], "validation": [], "test": []}
    for name, members in sets.items():
        chosen = (image for image in set_of if set_of[image] == name)
        for image in sorted(chosen, key=lambda image: hash_fraction(name, image)):
            line = images[image]
            members.append(
                SplitLine.model_validate(
                    {"image": image, "photo": line.photo, "group": group_of[image]}
                    | {"width": line.width, "height": line.height}
                )
            )
    return sets


def _entry(
    run: Run,
    line: InventoryLine,
    images: Mapping[str, InventoryLine],
    set_of: Mapping[str, SetName],
    group_of: Mapping[str, str],
) -> InventoryLine:
    if line.image is None:
        return line
    if line.image not in images:
        unwanted = ", ".join(flag for flag in line.flags if flag in run.request.exclude_flags)
        return line.model_copy(update={"status": "excluded", "reason": f"{unwanted}: left out by exclude_flags"})
    if line.image not in set_of:
        return line.model_copy(update={"status": "excluded", "reason": "resembles images of two sets"})
    placed = duplicate_line(line, images) or {"set": set_of[line.image]}
    return line.model_copy(update={"group": group_of[line.image], **placed})


def _labelled(line: InventoryLine, by: Mapping[str, str]) -> InventoryLine:
    return line.model_copy(update={"labelled_by": by.get(line.image or "")}) if line.set else line


def _counts(inventory: list[InventoryLine], sets: Mapping[SetName, list[SplitLine]]) -> dict[str, int]:
    return {
        "photos": sum(line.status != "ignored" for line in inventory),
        "refused": sum(line.status == "refused" for line in inventory),
        "images": sum(map(len, sets.values())),
        **{name: len(members) for name, members in sets.items()},
    }


def _facts(
    inventory: list[InventoryLine], group_of: Mapping[str, str], counts: Mapping[str, int], owned: int
) -> dict[str, Any]:
    flags = Counter(flag for line in inventory if line.status != "duplicate" for flag in line.flags)
    photos_of_group = Counter(line.group for line in inventory if line.group)
    names = set(group_of.values())
    return {
        "excluded": sum(line.status == "excluded" for line in inventory),
        "exact_duplicates": sum(line.status == "duplicate" for line in inventory),
        "near_duplicates": len(group_of) - len(names),
        "groups": len(names),
        "leaked_by_random_split": round(_leaked(photos_of_group.values(), counts["test"] / counts["images"]), 1),
        "flags": dict(sorted(flags.items())),
        "own_labels": owned,
    }


def _leaked(group_sizes: Iterable[int], test_share: float) -> float:
    """Return how many test photos are expected to have a twin in training when each photo is drawn by itself."""
    return sum(size * test_share * (1 - test_share ** (size - 1)) for size in group_sizes)
