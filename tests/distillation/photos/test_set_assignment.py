from __future__ import annotations

import random
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from distillation import keys
from distillation.photos.near_duplicates import MAXIMUM_DISTANCE
from distillation.records import Run
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.resized_collection import image_names, resized_collection, sets_by_group, sets_by_image, split


def later_run(name: str, **request: Any) -> Run:
    return any_run(**request).model_copy(update={"name": name, "created": f"2026-11-25T00:00:00+00:00-{name}"})


near_hashes = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 62), st.integers(0, 62), st.integers(0, 62)), min_size=40, max_size=120
)


def test_set_of_an_image_does_not_depend_on_earlier_runs() -> None:
    small, large = resized_collection(image_names(100)), resized_collection(image_names(190))
    split(any_run(), small)
    split(any_run(), large)

    for name in ("train", "test"):
        in_small, in_large = (
            {line["image"] for line in data.read_lines(keys.split_key("holiday-1", name))} for data in (small, large)
        )
        assert in_small <= in_large


@given(near_hashes, st.integers(20, 40), st.integers(40, 80))
def test_added_photos_move_no_image_and_no_group_is_in_two_sets(
    draws: list[tuple[int, int, int, int]], first: int, second: int
) -> None:
    centres = [random.Random(n).getrandbits(63) for n in range(6)]
    hashes = {
        image: centres[centre] ^ (1 << a) ^ (1 << b) ^ (1 << c) if number % 3 else random.Random(image).getrandbits(63)
        for number, (image, (centre, a, b, c)) in enumerate(zip(image_names(len(draws)), draws, strict=True))
    }
    order = random.Random(len(draws)).sample(sorted(hashes), len(hashes))
    data = bucket()
    previous: dict[str, str] = {}
    for number, count in enumerate((first, second, len(order))):
        run = later_run(f"holiday-{number}", tolerance=1)
        resized_collection(order[:count], hashes=hashes, data=data, run=run.name)
        split(run, data)
        current = sets_by_image(data, run.name)

        assert {image: current.get(image) for image in previous} == previous
        assert all(len(sets) == 1 for sets in sets_by_group(data, run.name).values())
        for image, other in combinations(current, 2):
            if (hashes[image] ^ hashes[other]).bit_count() <= MAXIMUM_DISTANCE:
                assert current[image] == current[other]
        previous = current


def test_new_image_that_is_near_images_of_two_sets_is_excluded() -> None:
    names = image_names(60)
    distinct = {name: random.Random(name).getrandbits(63) for name in names}
    data = resized_collection(names, hashes=distinct)
    split(any_run(), data)
    sets = sets_by_image(data)
    test, train = (next(name for name in names if sets[name] == set_name) for set_name in ("test", "train"))
    # The two hashes differ in twelve bits, which is too many for near-duplicates. The new one is half way between.
    hashes = distinct | {train: distinct[test] ^ 0xFFF}
    between = f"{999:064x}"
    again = resized_collection([*names, between], hashes=hashes | {between: distinct[test] ^ 0x3F}, data=data)
    split(later_run("holiday-1"), again)

    assert sets_by_image(again)[test] == "test"
    assert sets_by_image(again)[train] == "train"
    (line,) = [line for line in again.read_lines(keys.inventory_key("holiday-1")) if line.get("image") == between]
    assert (line["status"], line["reason"]) == ("excluded", "near-duplicate of images in two sets")


def test_group_larger_than_the_test_set_is_in_the_training_set() -> None:
    names = image_names(60)
    hashes = {name: 1 << n % 2 if n < 40 else random.Random(name).getrandbits(63) for n, name in enumerate(names)}
    data = resized_collection(names, hashes=hashes)
    split(any_run(), data)

    assert {sets_by_image(data)[name] for name in names[:40]} == {"train"}
