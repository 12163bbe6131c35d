"""Find near-duplicates: images whose perceptual hashes differ in few bits, directly or through others.

Plain Python, as the function has no numpy. A hash is cut into five bands; of two hashes that differ in at most
``NEAR`` bits, fewer than ten, one band differs in at most one bit. So each hash is looked up under its bands, as they
are and with any one bit turned, instead of being compared with all others (Norouzi et al. 2012, "Fast search in
Hamming space with multi-index hashing"). Figures: benchmarks/split.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

NEAR = 8
"""Bits of 63. Of 68 photos compressed, halved, brightened or cropped by 2 % at most two a kind lie farther from the
original; of 2,200 pairs of unlike photos none lies nearer than 14."""

_WIDTH = 13
_BANDS = range(0, 64, _WIDTH)
_MASK = (1 << _WIDTH) - 1
_FLIPS = [0, *(1 << bit for bit in range(_WIDTH))]


class NearHashes:
    """Some hashes, to be asked which of them lie near another."""

    def __init__(self, hashes: Iterable[int]) -> None:
        self._bands: list[dict[int, list[int]]] = [defaultdict(list) for _ in _BANDS]
        for found in set(hashes):
            for band, shift in zip(self._bands, _BANDS, strict=True):
                band[found >> shift & _MASK].append(found)

    def near(self, asked: int) -> set[int]:
        """Return the hashes that differ from ``asked`` in at most ``NEAR`` bits."""
        found = set()
        for band, shift in zip(self._bands, _BANDS, strict=True):
            key = asked >> shift & _MASK
            for flip in _FLIPS:
                for candidate in band.get(key ^ flip, ()):
                    if (candidate ^ asked).bit_count() <= NEAR:
                        found.add(candidate)
        return found


class NearDuplicates:
    """Which images of a collection are near-duplicates of which; an image without a hash is near none."""

    def __init__(self, hash_of: Mapping[str, str | None]) -> None:
        self._hash_of = {image: int(found, 16) for image, found in hash_of.items() if found is not None}
        self._images: dict[int, list[str]] = defaultdict(list)
        for image, found in self._hash_of.items():
            self._images[found].append(image)
        self._near = NearHashes(self._images)

    def of(self, image: str) -> Iterator[str]:
        """Yield the images near one, itself not among them."""
        found = self._hash_of.get(image)
        if found is not None:
            for near in self._near.near(found):
                yield from (other for other in self._images[near] if other != image)


def group_near_duplicates(images: Iterable[str], neighbours: NearDuplicates) -> dict[str, str]:
    """Return by image the name of its group: the lowest of the images that are joined, itself if it is alone."""
    group_of = dict.fromkeys(images, "")
    for first in sorted(group_of):
        if group_of[first]:
            continue
        group_of[first] = first
        waiting = [first]
        while waiting:
            for other in neighbours.of(waiting.pop()):
                if group_of.get(other) == "":
                    group_of[other] = first
                    waiting.append(other)
    return group_of
