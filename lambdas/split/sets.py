"""Divide images into sets by a hash of each, so that adding photos moves none of the others.

An image is in the test set when its hash, read as a fraction, lies under the test share. Training
images are ordered by another hash and every size takes the first so many: sizes are nested.
"""

from __future__ import annotations

import hashlib
from typing import Any

from lambdas.shared import families, layout
from lambdas.shared.errors import BadRequest, EmptyCollection, TooFewImages, TooManySetAside
from lambdas.shared.objects import Objects
from lambdas.shared.records import InventoryLine, Run, SplitLine

VALIDATION_FROM = 200
"""Images below which a validation set would cost more training examples than it tells."""
VALIDATION_SHARE = 0.1
MINIMUM_TEST_IMAGES = 8
"""Where the share gives fewer, those with the next lowest hashes are added."""


def split(run: Run, data: Objects) -> dict[str, Any]:
    """Write inventory and sets; return counts, sizes and the key of the images to label.

    Raises ``EmptyCollection``, ``TooManySetAside``, ``TooFewImages`` or ``BadRequest``.
    """
    lines = sorted(
        (InventoryLine.model_validate(line) for line in data.read_parts(layout.parts(run.run, "resize"))),
        key=lambda line: line.photo,
    )
    _check_refusals(run, lines)
    images = _distinct(lines)
    if len(images) < run.request.min_images:
        raise TooFewImages(
            f"{len(images)} usable images in {run.collection!r}, at least {run.request.min_images} are "
            "needed to train and to test; add photos (or lower min_images) and start again"
        )
    sets = _sets(run, images)
    sizes = _sizes(run, len(sets["train"]))
    to_label = [*sets["train"][: max(sizes)], *sets["validation"], *sets["test"]]
    _write(run, data, lines, sets, to_label)
    return {
        "photos": sum(line.status != "ignored" for line in lines),
        "refused": sum(line.status == "refused" for line in lines),
        "images": len(images),
        "train": len(sets["train"]),
        "validation": len(sets["validation"]),
        "test": len(sets["test"]),
        "sizes": sizes,
        "to_label": len(to_label),
        "to_label_key": layout.split(run.run, "to-label"),
        "test_key": layout.split(run.run, "test"),
    }


def _check_refusals(run: Run, lines: list[InventoryLine]) -> None:
    photos = [line for line in lines if line.status != "ignored"]
    refused = [line for line in photos if line.status == "refused"]
    if not photos:
        raise EmptyCollection(f"{run.collection!r} holds no photo; upload some and start again")
    # The tolerance is a share of many; one bad photo in a small collection is no reason to stop.
    if len(refused) > max(1, run.request.tolerance * len(photos)):
        reasons = "; ".join(f"{line.photo}: {line.reason}" for line in refused[:3])
        raise TooManySetAside(
            f"{len(refused)} of {len(photos)} photos were refused, more than the tolerance of "
            f"{run.request.tolerance:.0%}. First: {reasons}. Remove them or raise 'tolerance'"
        )


def _distinct(lines: list[InventoryLine]) -> dict[str, InventoryLine]:
    """Return the first photo of each image; two photos with the same bytes are one image."""
    images: dict[str, InventoryLine] = {}
    for line in lines:
        if line.image is not None:
            images.setdefault(line.image, line)
    return images


def _sets(run: Run, images: dict[str, InventoryLine]) -> dict[str, list[SplitLine]]:
    by_hash = sorted(images, key=lambda image: _fraction("test", image))
    share = run.request.test_share
    in_share = sum(_fraction("test", image) < share for image in by_hash)
    test = by_hash[: max(in_share, MINIMUM_TEST_IMAGES)]
    rest = sorted(by_hash[len(test) :], key=lambda image: _fraction("train", image))
    validation = _validation(run, rest, len(images))
    train = [image for image in rest if image not in validation]
    names = {"train": train, "validation": sorted(validation), "test": test}
    return {name: [_line(images[image]) for image in members] for name, members in names.items()}


def _validation(run: Run, rest: list[str], images: int) -> set[str]:
    if images < VALIDATION_FROM or not families.model(run.student).family.validation_file:
        return set()
    return {image for image in rest if _fraction("validation", image) < VALIDATION_SHARE}


def _sizes(run: Run, available: int) -> list[int]:
    family = families.model(run.student).family
    if available < family.minimum_records:
        raise TooFewImages(
            f"{available} training images are left after the test set; {run.student!r} takes no fewer "
            f"than {family.minimum_records}; add photos or lower test_share"
        )
    asked = run.request.train_sizes or [available]
    # A size above what there is becomes what there is; the report says so.
    sizes = sorted({min(size, available, family.maximum_records) for size in asked})
    if min(sizes) < family.minimum_records:
        raise BadRequest(f"train_sizes: {min(sizes)} is below {family.minimum_records}")
    return sizes


def _line(line: InventoryLine) -> SplitLine:
    return SplitLine.model_validate(
        {"image": line.image, "photo": line.photo, "width": line.width, "height": line.height}
    )


def _write(
    run: Run,
    data: Objects,
    lines: list[InventoryLine],
    sets: dict[str, list[SplitLine]],
    to_label: list[SplitLine],
) -> None:
    set_of = {line.image: name for name, members in sets.items() for line in members}
    kept = {line.photo for members in sets.values() for line in members}
    inventory = [
        line
        if line.image is None
        else line.model_copy(
            update={"set": set_of[line.image]}
            if line.photo in kept
            else {"status": "duplicate", "reason": "same image as another photo"}
        )
        for line in lines
    ]
    data.write_lines(layout.inventory(run.run), [line.model_dump(exclude_none=True) for line in inventory])
    for name, members in {**sets, "to-label": to_label}.items():
        data.write_lines(layout.split(run.run, name), [line.model_dump() for line in members])


def _fraction(purpose: str, image: str) -> float:
    """Return a number from 0 up to 1 that depends on nothing but purpose and image."""
    digest = hashlib.sha256(f"{purpose}:{image}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
