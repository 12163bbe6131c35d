"""Which set an image is in: where an earlier run put it, else with its near-duplicates, else by a hash.

Near-duplicates never lie on two sides, and an image that once had a set keeps it, whatever is added later. Both hold
because newcomers give way: one that resembles images of two sets is kept apart, in none.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distillation.photos.near_duplicates import NearDuplicates, group_near_duplicates
from distillation.records import SetName

MINIMUM_TEST_IMAGES = 8
"""Where the share gives fewer, the groups with the next lowest hashes are added."""


@dataclass(frozen=True)
class Shares:
    """Shares of the images in test and, of the others, in validation; both from 0 to 1."""

    test: float
    validation: float


def assign_sets(
    images: Iterable[str], neighbours: NearDuplicates, earlier: Mapping[str, SetName], shares: Shares
) -> dict[str, SetName]:
    """Return the set of every image but of those that resemble images of two sets.

    ``earlier`` has the sets that earlier runs chose, in their order, perhaps of images that are no longer there.
    """
    images = set(images)
    placed = _where_they_were(images, neighbours, earlier)
    undecided = _beside_those(images - placed.keys() - earlier.keys(), neighbours, placed)
    _by_hash(undecided, neighbours, placed, len(images), shares)
    return placed


def hash_fraction(purpose: str, name: str) -> float:
    """Return a number from 0 up to 1 that depends on nothing but purpose and name."""
    digest = hashlib.sha256(f"{purpose}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _where_they_were(
    images: set[str], neighbours: NearDuplicates, earlier: Mapping[str, SetName]
) -> dict[str, SetName]:
    placed: dict[str, SetName] = {}
    for image, chosen in earlier.items():
        # Two runs at the same time may have parted what belongs together; the first one's choice counts.
        if image in images and _sets_beside(image, neighbours, placed) <= {chosen}:
            placed[image] = chosen
    return placed


def _beside_those(newcomers: set[str], neighbours: NearDuplicates, placed: dict[str, SetName]) -> set[str]:
    """Place newcomers that resemble placed images, directly or through others; return those that do not."""
    undecided = set(newcomers)
    waiting = sorted(placed)
    for image in waiting:
        for newcomer in sorted(undecided.intersection(neighbours.of(image))):
            undecided.remove(newcomer)
            beside = _sets_beside(newcomer, neighbours, placed)
            if len(beside) == 1:
                placed[newcomer] = beside.pop()
                waiting.append(newcomer)
    return undecided


def _sets_beside(image: str, neighbours: NearDuplicates, placed: Mapping[str, SetName]) -> set[SetName]:
    return {placed[other] for other in neighbours.of(image) if other in placed}


def _by_hash(
    undecided: set[str], neighbours: NearDuplicates, placed: dict[str, SetName], images: int, shares: Shares
) -> None:
    members: dict[str, list[str]] = defaultdict(list)
    for image, group in group_near_duplicates(undecided, neighbours).items():
        members[group].append(image)
    in_test = Counter(placed.values())["test"]
    for group in sorted(members, key=lambda group: hash_fraction("test", group)):
        # A group larger than the whole set ought to be would be all that it tests.
        fits = len(members[group]) <= shares.test * images
        chosen: SetName = "train"
        if fits and (hash_fraction("test", group) < shares.test or in_test < MINIMUM_TEST_IMAGES):
            chosen = "test"
            in_test += len(members[group])
        elif (
            hash_fraction("validation", group) < shares.validation and len(members[group]) <= shares.validation * images
        ):
            chosen = "validation"
        placed.update(dict.fromkeys(members[group], chosen))
