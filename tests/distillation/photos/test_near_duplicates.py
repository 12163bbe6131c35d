from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distillation.photos.near_duplicates import MAXIMUM_DISTANCE, HashIndex, NearDuplicates, group_near_duplicates


@given(st.lists(st.integers(0, 2**63 - 1), max_size=30), st.lists(st.integers(0, 62), max_size=12))
def test_index_finds_every_hash_within_the_maximum_distance(hashes: list[int], flips: list[int]) -> None:
    hashes = [*hashes, *(value ^ sum(1 << bit for bit in set(flips)) for value in hashes)]
    index = HashIndex(hashes)

    for query in hashes:
        near = {value for value in hashes if (value ^ query).bit_count() <= MAXIMUM_DISTANCE}
        assert index.within_distance(query) == near


def test_images_connected_through_others_are_one_group_and_an_image_without_hash_is_alone() -> None:
    # a and c differ in 16 bits; b is within 8 bits of both.
    hashes = {"a": f"{0:016x}", "b": f"{0xFF:016x}", "c": f"{0xFFFF:016x}", "d": None}

    assert group_near_duplicates(hashes, NearDuplicates(hashes)) == {"a": "a", "b": "a", "c": "a", "d": "d"}
