from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import combinations
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation import keys
from distillation.errors import EmptyCollection, ToleranceExceeded, TooFewImages
from distillation.photos.near_duplicates import NEAR, NearHashes
from distillation.photos.splits import split as split_collection
from distillation.records import Run
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket


def split(run: Run, data: Bucket) -> dict[str, Any]:
    """Split a collection without labels of its own."""
    return split_collection(run, data, bucket())


def resized(
    images: list[str],
    refused: int = 0,
    hashes: Mapping[str, int] = MappingProxyType({}),
    flags: Mapping[str, list[str]] = MappingProxyType({}),
    data: Bucket | None = None,
) -> Bucket:
    data = data or bucket()
    lines: list[dict[str, Any]] = [
        {"photo": f"p{n:04}", "status": "ok", "image": image, "width": 900, "height": 600, "bytes": 1}
        | {"perceptual_hash": f"{hashes[image]:016x}" if image in hashes else None, "flags": flags.get(image, [])}
        for n, image in enumerate(images)
    ]
    lines += [{"photo": f"bad{n}", "status": "refused", "reason": "damaged"} for n in range(refused)]
    data.write_lines(keys.part_key("holiday-1", "resize", "b"), lines)
    return data


def members(data: Bucket, name: str) -> list[str]:
    return [line["image"] for line in data.read_lines(keys.split_key("holiday-1", name))]


def images(count: int) -> list[str]:
    return [f"{n:064x}" for n in range(count)]


def test_sets_do_not_overlap_and_sizes_are_nested() -> None:
    data = resized(images(100))
    result = split(any_run(train_sizes=[20, 40, 500]), data)
    train, test = members(data, "train"), members(data, "test")

    assert not set(train) & set(test)
    assert len(train) + len(test) == 100 == result["images"]
    assert result["sizes"] == [20, 40, len(train)]
    assert set(members(data, "to-label")) == set(train) | set(test)


def test_only_what_the_largest_size_needs_is_labelled() -> None:
    data = resized(images(100))
    result = split(any_run(train_sizes=[20]), data)

    assert result["to_label"] == 20 + result["test"]
    assert members(data, "to-label")[:20] == members(data, "train")[:20]


def test_sets_are_the_same_without_memory_of_earlier_runs() -> None:
    small, large = resized(images(100)), resized(images(190))
    split(any_run(), small)
    split(any_run(), large)

    for name in ("train", "test"):
        assert set(members(small, name)) <= set(members(large, name))


def later(run: str, **request: Any) -> Run:
    return any_run(**request).model_copy(update={"name": run, "created": f"2026-11-25T00:00:00+00:00-{run}"})


def chosen(data: Bucket, run: str = "holiday-1") -> dict[str, str]:
    inventory = data.read_lines(keys.inventory_key(run))
    return {line["image"]: line["set"] for line in inventory if line.get("set")}


def groups_of(data: Bucket, run: str = "holiday-1") -> dict[str, set[str]]:
    sets: dict[str, set[str]] = {}
    for line in data.read_lines(keys.inventory_key(run)):
        if line.get("set"):
            sets.setdefault(line["group"], set()).add(line["set"])
    return sets


near_hashes = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 62), st.integers(0, 62), st.integers(0, 62)), min_size=40, max_size=120
)


@given(near_hashes, st.integers(20, 40), st.integers(40, 80))
def test_growth_moves_no_image_and_no_group_ever_straddles(
    drawn: list[tuple[int, int, int, int]], first: int, second: int
) -> None:
    centres = [random.Random(n).getrandbits(63) for n in range(6)]
    hashes = {
        image: centres[centre] ^ (1 << a) ^ (1 << b) ^ (1 << c) if number % 3 else random.Random(image).getrandbits(63)
        for number, (image, (centre, a, b, c)) in enumerate(zip(images(len(drawn)), drawn, strict=True))
    }
    order = random.Random(len(drawn)).sample(sorted(hashes), len(hashes))
    data = bucket()
    kept: dict[str, str] = {}
    for number, count in enumerate((first, second, len(order))):
        run = later(f"holiday-{number}", tolerance=1)
        lines = resized(order[:count], hashes=hashes)
        data.write_lines(
            keys.part_key(run.name, "resize", "b"), lines.read_lines(keys.part_key("holiday-1", "resize", "b"))
        )
        split(run, data)
        now = chosen(data, run.name)

        assert {image: now.get(image) for image in kept} == kept
        assert all(len(sets) == 1 for sets in groups_of(data, run.name).values())
        for one, other in combinations(now, 2):
            if (hashes[one] ^ hashes[other]).bit_count() <= NEAR:
                assert now[one] == now[other]
        kept = now


def test_image_that_resembles_both_sides_gives_way_to_those_that_were_there() -> None:
    names = images(60)
    far = {name: random.Random(name).getrandbits(63) for name in names}
    data = resized(names, hashes=far)
    split(any_run(), data)
    sets = chosen(data)
    test, train = (next(n for n in names if sets[n] == side) for side in ("test", "train"))
    # Twelve bits apart they are unlike; the newcomer lies half way between them.
    hashes = far | {train: far[test] ^ 0xFFF}
    between = f"{999:064x}"
    again = resized([*names, between], hashes=hashes | {between: far[test] ^ 0x3F}, data=data)
    split(later("holiday-1"), again)

    assert chosen(again)[test] == "test"
    assert chosen(again)[train] == "train"
    (line,) = [line for line in again.read_lines(keys.inventory_key("holiday-1")) if line.get("image") == between]
    assert (line["status"], line["reason"]) == ("excluded", "resembles images of two sets")


def test_split_tried_again_gives_the_same_sets() -> None:
    data = resized(images(50))
    first = split(any_run(), data), chosen(data)

    assert (split(any_run(), data), chosen(data)) == first


@given(st.lists(st.integers(0, 2**63 - 1), max_size=30), st.lists(st.integers(0, 62), max_size=12))
def test_no_near_hash_is_overlooked(hashes: list[int], flips: list[int]) -> None:
    hashes = [*hashes, *(found ^ sum(1 << bit for bit in set(flips)) for found in hashes)]
    index = NearHashes(hashes)

    for asked in hashes:
        assert index.near(asked) == {found for found in hashes if (found ^ asked).bit_count() <= NEAR}


def test_facts_tell_of_duplicates_groups_and_flags() -> None:
    names = images(40)
    hashes = {name: random.Random(name).getrandbits(63) for name in names}
    hashes[names[1]] = hashes[names[0]] ^ 1
    flags = {names[3]: ["dark"], names[4]: ["dark", "blurred"]}
    data = resized([*names, names[2]], refused=1, hashes=hashes, flags=flags)
    result = split(any_run(), data)
    facts = data.read_json(keys.split_facts_key("holiday-1"))

    assert facts == {
        **{"photos": 42, "refused": 1, "images": 40, "exact_duplicates": 1, "near_duplicates": 1, "groups": 39},
        **{name: result[name] for name in ("train", "validation", "test")},
        **{"excluded": 0, "own_labels": 0, "flags": {"blurred": 1, "dark": 2}},
        "leaked_by_random_split": facts["leaked_by_random_split"],
    }
    share = result["test"] / 40
    assert facts["leaked_by_random_split"] == round(2 * 2 * share * (1 - share), 1)
    assert {line["group"] for line in data.read_lines(keys.inventory_key("holiday-1")) if line.get("image") == names[1]}


def test_flagged_images_are_left_out_only_on_request() -> None:
    names = images(40)
    flags = {names[3]: ["dark"], names[4]: ["blurred"]}

    assert split(any_run(), resized(names, flags=flags))["images"] == 40
    data = resized(names, flags=flags)
    assert split(any_run(exclude_flags=["dark"]), data)["images"] == 39
    (line,) = [line for line in data.read_lines(keys.inventory_key("holiday-1")) if line["status"] == "excluded"]
    assert (line["image"], line["reason"]) == (names[3], "dark: left out by exclude_flags")


def test_burst_larger_than_the_test_set_is_trained_on() -> None:
    names = images(60)
    hashes = {name: 1 << n % 2 if n < 40 else random.Random(name).getrandbits(63) for n, name in enumerate(names)}
    data = resized(names, hashes=hashes)
    split(any_run(), data)

    assert {chosen(data)[name] for name in names[:40]} == {"train"}


def test_validation_set_counts_among_the_records_that_bedrock_takes() -> None:
    data = resized(images(21_500))
    result = split(any_run(test_share=0.05), data)

    assert result["validation"] > 0
    assert max(result["sizes"]) + result["validation"] == 20_000


def test_validation_set_only_from_200_images() -> None:
    assert split(any_run(), resized(images(199)))["validation"] == 0
    assert split(any_run(), resized(images(300)))["validation"] > 0


def test_same_bytes_under_two_names_are_one_image() -> None:
    data = resized([*images(30), *images(2)])

    assert split(any_run(), data)["images"] == 30
    statuses = [line["status"] for line in data.read_lines(keys.inventory_key("holiday-1"))]
    assert statuses.count("duplicate") == 2


@pytest.mark.parametrize(
    ("data", "request_fields", "failure"),
    [
        (resized([]), {}, EmptyCollection),
        (resized(images(19)), {}, TooFewImages),
        (resized(images(40), refused=4), {}, ToleranceExceeded),
    ],
)
def test_what_cannot_go_on_is_refused(data: Bucket, request_fields: dict[str, Any], failure: type[Exception]) -> None:
    with pytest.raises(failure):
        split(any_run(**request_fields), data)


def test_refused_photos_up_to_the_tolerance_do_not_stop_a_run() -> None:
    assert split(any_run(tolerance=0.2), resized(images(40), refused=4))["refused"] == 4
