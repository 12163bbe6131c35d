"""Find near-duplicates: images whose perceptual hashes differ in few bits, directly or through other images.

The index is plain Python because the Lambda function has no numpy. It finds all near hashes without comparing all
pairs. Each hash is cut into five bands. Two hashes that differ in at most ``MAXIMUM_DISTANCE`` (eight) bits are alike
in one of two ways: a band of the first four differs in at most one bit, or each of these differs in two and the fifth
is equal. So the first four bands are looked up as they are and with each bit flipped, and the fifth as it is.
Source: Norouzi et al. 2012, "Fast search in Hamming space with multi-index hashing".
Timing: ``python -m benchmarks.near_duplicates``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

MAXIMUM_DISTANCE = 8
"""Hamming distance, in bits of 63, up to which two images are near-duplicates.

68 photos were compressed, halved, brightened and cropped by 2 %: per change at most two are farther from the original.
Of 2,200 pairs of different photos none is nearer than 14.
"""

_BAND_BITS = 13
_BAND_SHIFTS = range(0, 64, _BAND_BITS)
_BAND_MASK = (1 << _BAND_BITS) - 1
_SINGLE_BIT_FLIPS = (0, *(1 << bit for bit in range(_BAND_BITS)))
_FLIPS = (*[_SINGLE_BIT_FLIPS] * (len(_BAND_SHIFTS) - 1), (0,))
"""Flips to look up, by band."""


class HashIndex:
    """Index of hashes that can be searched by Hamming distance."""

    def __init__(self, hashes: Iterable[int]) -> None:
        self._bands: list[dict[int, list[int]]] = [defaultdict(list) for _ in _BAND_SHIFTS]
        for value in set(hashes):
            for band, shift in zip(self._bands, _BAND_SHIFTS, strict=True):
                band[value >> shift & _BAND_MASK].append(value)

    def within_distance(self, query: int) -> set[int]:
        """Return the hashes that differ from ``query`` in at most ``MAXIMUM_DISTANCE`` bits."""
        return {
            candidate
            for band, shift, flips in zip(self._bands, _BAND_SHIFTS, _FLIPS, strict=True)
            for flip in flips
            for candidate in band.get(query >> shift & _BAND_MASK ^ flip, ())
            if (candidate ^ query).bit_count() <= MAXIMUM_DISTANCE
        }


class NearDuplicates:
    """Near-duplicates among the images of a collection; an image without a hash has none."""

    def __init__(self, hash_by_image: Mapping[str, str | None]) -> None:
        self._hash_by_image = {image: int(text, 16) for image, text in hash_by_image.items() if text is not None}
        self._images_by_hash: dict[int, list[str]] = defaultdict(list)
        for image, value in self._hash_by_image.items():
            self._images_by_hash[value].append(image)
        self._index = HashIndex(self._images_by_hash)
        self._isolated: set[int] = set()
        """Hashes that were looked up and have no other hash near them: most hashes, each looked up several times."""

    def of(self, image: str) -> Iterator[str]:
        """Yield the near-duplicates of an image, without the image itself."""
        value = self._hash_by_image.get(image)
        if value is None:
            return
        near_values = {value} if value in self._isolated else self._index.within_distance(value)
        if len(near_values) == 1:
            self._isolated.add(value)
        for near_value in near_values:
            yield from (other for other in self._images_by_hash[near_value] if other != image)


def group_near_duplicates(images: Iterable[str], near_duplicates: NearDuplicates) -> dict[str, str]:
    """Return each image's group, named after the group's lowest image; an image without near-duplicates is alone.

    Groups are transitive: images that are connected through other images are in the same group.
    """
    group_by_image = dict.fromkeys(images, "")
    for first in sorted(group_by_image):
        if group_by_image[first]:
            continue
        group_by_image[first] = first
        queue = [first]
        while queue:
            for other in near_duplicates.of(queue.pop()):
                if group_by_image.get(other) == "":
                    group_by_image[other] = first
                    queue.append(other)
    return group_by_image
