"""Assign images to sets: keep the set of an earlier run, else join near-duplicates, else choose by a hash.

Images whose class is known, from the owner's labels, are chosen so that each set gets the same share of every class.

Near-duplicates are never in two different sets, and an image never changes its set when photos are added later. To
keep both rules, a new image that is a near-duplicate of images in two sets is assigned to none.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distillation.photos.near_duplicates import NearDuplicates, group_near_duplicates
from distillation.records import SetName

MINIMUM_TEST_IMAGES = 8
"""Number of test images below which the groups with the next lowest hashes are added to the test set."""


@dataclass(frozen=True)
class Shares:
    """Target sizes of the test and validation sets, as shares of the images."""

    test: float
    """Share of all images, 0-1."""
    validation: float
    """Share of the images that are not in the test set, 0-1."""
    maximum: int
    """Number of images of either set above which no new group is added to it."""


def sample_images(images: Iterable[str], near_duplicates: NearDuplicates, count: int) -> set[str]:
    """Return ``count`` images, chosen by a hash; all images if there are no more.

    Near-duplicates are in the sample together or not at all. The sample is smaller than ``count`` if every remaining
    group is larger than the rest.
    """
    members = _members_by_group(images, near_duplicates)
    sample: set[str] = set()
    for group in sorted(members, key=lambda group: hash_fraction("sample", group)):
        if len(sample) + len(members[group]) <= count:
            sample.update(members[group])
    return sample


def assign_sets(
    images: Iterable[str],
    near_duplicates: NearDuplicates,
    earlier: Mapping[str, SetName],
    shares: Shares,
    strata: Mapping[str, str],
) -> dict[str, SetName]:
    """Return the set of each image, without images that are near-duplicates of images in two sets.

    ``earlier`` maps images to the sets that earlier runs chose, in the order of the runs. It may contain images that
    no longer exist. ``strata`` has the classes of the images whose class is known. The returned images are in the
    order of ``earlier``; new images follow, sorted.
    """
    images = set(images)
    assigned = _restore_earlier(images, near_duplicates, earlier)
    restored = list(assigned)
    unassigned = _join_near_duplicates(images - assigned.keys() - earlier.keys(), near_duplicates, assigned)
    members = _members_by_group(unassigned, near_duplicates)
    _assign_by_stratum(members, assigned, len(images), shares, strata)
    _assign_by_hash(members, assigned, len(images), shares)
    return {image: assigned[image] for image in [*restored, *sorted(assigned.keys() - restored)]}


def held_out_images(assigned: Mapping[str, SetName], maximum: int) -> dict[str, SetName]:
    """Return the test and validation images that are not used because their set has more than ``maximum`` images.

    The images that were assigned first are used, so that a later run uses the same ones. Images of one run are in the
    order of their names, which are hashes.
    """
    used: Counter[SetName] = Counter()
    held_out: dict[str, SetName] = {}
    for image, set_name in assigned.items():
        if set_name != "train" and used[set_name] == maximum:
            held_out[image] = set_name
        else:
            used[set_name] += 1
    return held_out


def hash_fraction(purpose: str, name: str) -> float:
    """Return a pseudo-random number, 0 to less than 1, that depends only on ``purpose`` and ``name``."""
    digest = hashlib.sha256(f"{purpose}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _restore_earlier(
    images: set[str], near_duplicates: NearDuplicates, earlier: Mapping[str, SetName]
) -> dict[str, SetName]:
    assigned: dict[str, SetName] = {}
    for image, set_name in earlier.items():
        # Two concurrent runs may have put near-duplicates into different sets. The choice of the first run wins.
        if image in images and _sets_of_near_duplicates(image, near_duplicates, assigned) <= {set_name}:
            assigned[image] = set_name
    return assigned


def _join_near_duplicates(
    new_images: set[str], near_duplicates: NearDuplicates, assigned: dict[str, SetName]
) -> set[str]:
    """Assign new images that are connected to assigned ones by near-duplicates; return those that are not connected."""
    unassigned = set(new_images)
    queue = sorted(assigned)
    for image in queue:
        for new_image in sorted(unassigned.intersection(near_duplicates.of(image))):
            unassigned.remove(new_image)
            sets = _sets_of_near_duplicates(new_image, near_duplicates, assigned)
            if len(sets) == 1:
                assigned[new_image] = sets.pop()
                queue.append(new_image)
    return unassigned


def _sets_of_near_duplicates(
    image: str, near_duplicates: NearDuplicates, assigned: Mapping[str, SetName]
) -> set[SetName]:
    return {assigned[other] for other in near_duplicates.of(image) if other in assigned}


def _members_by_group(images: Iterable[str], near_duplicates: NearDuplicates) -> dict[str, list[str]]:
    members: dict[str, list[str]] = defaultdict(list)
    for image, group in group_near_duplicates(images, near_duplicates).items():
        members[group].append(image)
    return members


def _assign_by_stratum(
    members: dict[str, list[str]],
    assigned: dict[str, SetName],
    image_count: int,
    shares: Shares,
    strata: Mapping[str, str],
) -> None:
    """Assign the groups that have a class and remove them from ``members``.

    The class of a group is the most common one of its images. Images that already have a set count, and keep it.
    """
    groups = {group: stratum for group in members if (stratum := _stratum(members[group], strata))}
    if not groups:
        return
    of_image = {image: strata[image] for image in assigned if image in strata}
    of_image |= {image: stratum for group, stratum in groups.items() for image in members[group]}
    targets: tuple[tuple[SetName, float], ...] = (
        ("test", max(shares.test, MINIMUM_TEST_IMAGES / image_count)),
        ("validation", shares.validation),
    )
    others = image_count
    for set_name, share in targets:
        in_set = {image for image, name in assigned.items() if name == set_name}
        quotas = _quotas(Counter(of_image.values()), min(share, shares.maximum / others))
        missing = quotas - Counter(of_image[image] for image in in_set if image in of_image)
        for group in sorted(groups, key=lambda group: hash_fraction(set_name, group)):
            images, stratum = members[group], groups[group]
            if len(images) <= missing[stratum] and len(in_set) + len(images) <= shares.maximum:
                missing[stratum] -= len(images)
                in_set.update(images)
                del groups[group]
                assigned.update(dict.fromkeys(members.pop(group), set_name))
        of_image = {image: stratum for image, stratum in of_image.items() if image not in in_set}
        others = max(1, image_count - len(in_set))
    for group in groups:
        assigned.update(dict.fromkeys(members.pop(group), "train"))


def _stratum(images: Iterable[str], strata: Mapping[str, str]) -> str | None:
    """Return the most common class of images; of several, the first in the alphabet; None if none has a class."""
    counts = Counter(strata[image] for image in images if image in strata)
    return min(counts, key=lambda stratum: (-counts[stratum], stratum), default=None)


def _quotas(totals: Counter[str], share: float) -> Counter[str]:
    """Return the images of each class in a set, which add up to ``share`` of all images.

    The share of each class is rounded up or down by the method of the largest remainder.
    """
    quotas = Counter({stratum: int(share * total) for stratum, total in totals.items()})
    by_remainder = sorted(totals, key=lambda stratum: (quotas[stratum] - share * totals[stratum], stratum))
    quotas.update(by_remainder[: round(share * totals.total()) - quotas.total()])
    return quotas


def _assign_by_hash(
    members: Mapping[str, list[str]], assigned: dict[str, SetName], image_count: int, shares: Shares
) -> None:
    counts = Counter(assigned.values())

    def fits(set_name: SetName, share: float, size: int) -> bool:
        # A group larger than the whole set should be would be the only thing tested.
        return size <= share * image_count and counts[set_name] + size <= shares.maximum

    for group in sorted(members, key=lambda group: hash_fraction("test", group)):
        size = len(members[group])
        is_drawn = hash_fraction("test", group) < shares.test or counts["test"] < MINIMUM_TEST_IMAGES
        set_name: SetName = "train"
        if is_drawn and fits("test", shares.test, size):
            set_name = "test"
        elif hash_fraction("validation", group) < shares.validation and fits("validation", shares.validation, size):
            set_name = "validation"
        counts[set_name] += size
        assigned.update(dict.fromkeys(members[group], set_name))
