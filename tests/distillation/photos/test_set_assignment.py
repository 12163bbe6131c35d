from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation import keys
from distillation.documents import SplitFacts
from distillation.errors import TooFewImages
from distillation.models import catalog
from distillation.photos.near_duplicates import MAXIMUM_DISTANCE, NearDuplicates
from distillation.photos.set_assignment import Shares, assign_sets, hash_fraction, sample_images
from distillation.records import InventoryLine, Run, SetName
from distillation.storage import Bucket
from tests.support.builders import any_run, image_names
from tests.support.fakes import bucket
from tests.support.resized_collection import resized_collection, sets_by_group, sets_by_image, split
from tests.support.stored import read_lines


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
            {line["image"] for line in read_lines(data, keys.split_key("holiday-1", name))} for data in (small, large)
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
    (line,) = [line for line in read_lines(again, keys.inventory_key("holiday-1")) if line.get("image") == between]
    assert (line["status"], line["reason"]) == ("excluded", "near-duplicate of images in two sets")


def test_group_larger_than_the_test_set_is_in_the_training_set() -> None:
    names = image_names(60)
    hashes = {name: 1 << n % 2 if n < 40 else random.Random(name).getrandbits(63) for n, name in enumerate(names)}
    data = resized_collection(names, hashes=hashes)
    split(any_run(), data)

    assert {sets_by_image(data)[name] for name in names[:40]} == {"train"}


def hashes_with_bursts(names: Sequence[str]) -> dict[str, int]:
    """Return hashes of images, one in ten of which is a near-duplicate of an image anywhere in the list."""
    generator = random.Random(len(names))
    hashes = {name: generator.getrandbits(63) for name in names}
    for name in names[::10]:
        hashes[name] = hashes[generator.choice(names)] ^ (1 << generator.randrange(63))
    return hashes


class RunSequence:
    """Runs of one growing collection, with all images that any of them tested on or trained on."""

    def __init__(self, hashes: Mapping[str, int]) -> None:
        self.data = bucket()
        self.hashes = hashes
        self.ever: dict[str, set[str]] = defaultdict(set)
        self.number = 0

    def split(self, images: Sequence[str], **request: Any) -> dict[str, str]:
        """Split a collection of ``images``; return the set of each used image, and check it against earlier runs."""
        self.number += 1
        run = later_run(f"holiday-{self.number:03}", tolerance=1, **request)
        resized_collection(list(images), hashes=self.hashes, data=self.data, run=run.name)
        split(run, self.data)
        sets = sets_by_image(self.data, run.name)
        for name, others in (("train", ("test", "validation")), ("test", ("train",)), ("validation", ("train",))):
            members = {line["image"] for line in read_lines(self.data, keys.split_key(run.name, name))}
            assert members == {image for image, set_name in sets.items() if set_name == name}
            assert not any(members & self.ever[other] for other in others)
            assert name == "train" or len(members) <= run.request.test_images
            self.ever[name] |= members
        assert all(len(names) == 1 for names in sets_by_group(self.data, run.name).values())
        return sets

    def facts(self) -> SplitFacts:
        """Return the facts of the last run."""
        return self.data.read_document(keys.split_facts_key(f"holiday-{self.number:03}"), SplitFacts)

    def left_out(self) -> list[InventoryLine]:
        """Return the lines of the last run's inventory with status ``excluded``."""
        lines = self.data.read_records(keys.inventory_key(f"holiday-{self.number:03}"), InventoryLine)
        return [line for line in lines if line.status == "excluded"]


def images_in(sets: Mapping[str, str], name: str) -> set[str]:
    return {image for image, set_name in sets.items() if set_name == name}


def shuffled(names: Iterable[str]) -> list[str]:
    return random.Random(0).sample(sorted(names), len(list(names)))


def test_collection_that_grows_from_1000_to_12000_photos_tests_on_500_and_never_trains_on_a_test_image() -> None:
    # With 10,000 photos the validation set is not full yet.
    names = shuffled(image_names(12_000))
    runs = RunSequence(hashes_with_bursts(names))
    previous: dict[str, str] = {}
    for count, tested in ((1_000, 250), (5_000, 500), (12_000, 500)):
        sets = runs.split(names[:count])

        assert len(images_in(sets, "test")) == pytest.approx(tested, abs=40 if count == 1_000 else 0)
        assert {image: sets.get(image) for image in previous} == previous
        previous = sets
    # A new photo that resembles a test image is neither tested on nor trained on: the test set is full.
    assert runs.facts().held_out > 0
    assert {line.reason for line in runs.left_out()} == {
        "held out: the test set has test_images (500) images without it",
        "held out: the validation set has test_images (500) images without it",
    }


def store_sets_without_a_limit(data: Bucket, images: Iterable[str]) -> dict[str, str]:
    """Store and return the set of each image, as version 1 assigned it: without a limit on the size of a set."""
    sets = {
        image: "test"
        if hash_fraction("test", image) < 0.25
        else "validation"
        if hash_fraction("validation", image) < 0.1
        else "train"
        for image in images
    }
    run = any_run()
    prefix = keys.set_assignments_prefix(run.collection, catalog.get_model(run.student).family.name, 900, 0.25)
    lines = [{"image": image, "set": sets[image]} for image in sorted(sets)]
    data.write_lines(keys.set_assignments_key(prefix, "2026-01-01T00:00:00", "old-1"), lines)
    return sets


def test_collection_that_the_earlier_version_divided_tests_on_500_and_holds_the_other_test_images_out() -> None:
    names = shuffled(image_names(5_000))
    runs = RunSequence(hashes_with_bursts(names[4_000:]))
    stored = store_sets_without_a_limit(runs.data, names[:4_000])
    runs.ever["test"], runs.ever["validation"] = images_in(stored, "test"), images_in(stored, "validation")
    first, again, grown = runs.split(names[:4_000]), runs.split(names[:4_000]), runs.split(names)
    tested = sorted(images_in(stored, "test"))

    assert (len(tested), len(images_in(stored, "validation"))) == pytest.approx((1_000, 300), abs=100)
    assert images_in(first, "test") == images_in(again, "test") == images_in(grown, "test") == set(tested[:500])
    assert images_in(first, "train") == images_in(stored, "train")
    assert images_in(first, "validation") == images_in(stored, "validation")
    assert runs.facts().held_out >= len(tested) - 500
    reasons = {line.image: line.reason for line in runs.left_out()}
    reason = "held out: the test set has test_images (500) images without it"
    assert all(reasons[image] == reason for image in tested[500:])


def test_lower_test_images_holds_images_out_and_higher_ones_add_held_out_images_before_new_ones() -> None:
    names = shuffled(image_names(600))
    runs = RunSequence({})
    many = runs.split(names[:300], test_images=60)
    few = runs.split(names[:300], test_images=20)
    back = runs.split(names[:300], test_images=60)
    more = runs.split(names, test_images=80)

    assert len(images_in(many, "test")) == 60
    assert images_in(few, "test") == set(sorted(images_in(many, "test"))[:20])
    assert images_in(few, "train") == images_in(many, "train")
    assert back == many
    assert len(images_in(more, "test")) == 80
    assert images_in(more, "test") - images_in(many, "test") <= set(names[300:])


settings_of_runs = st.lists(
    st.tuples(st.integers(20, 120), st.integers(16, 40), st.one_of(st.none(), st.integers(20, 120))),
    min_size=2,
    max_size=5,
)


@given(st.lists(st.integers(0, 62), min_size=240, max_size=240), settings_of_runs)
def test_no_sequence_of_runs_trains_on_an_image_that_one_of_them_tested_on(
    bits: list[int], settings: list[tuple[int, int, int | None]]
) -> None:
    names = shuffled(image_names(120))
    hashes = {name: random.Random(number // 3).getrandbits(63) for number, name in enumerate(names)}
    for name, first, second in zip(names, bits[::2], bits[1::2], strict=True):
        hashes[name] ^= (1 << first) | (1 << second)
    runs = RunSequence(hashes)
    for count, test_images, sample in settings:
        try:
            runs.split(shuffled(names)[:count], test_images=test_images, sample=sample, min_images=16)
        except TooFewImages:
            continue


def test_sample_is_chosen_before_sets_and_a_later_run_without_it_keeps_the_sets_of_its_images() -> None:
    names = shuffled(image_names(1_000))
    runs = RunSequence(hashes_with_bursts(names))
    tried = runs.split(names, sample=50)

    assert len(tried) == 50
    assert 8 <= len(images_in(tried, "test")) <= 25
    assert {line.reason for line in runs.left_out()} == {"not in the sample of 50 images"}
    assert len(runs.left_out()) == runs.facts().not_sampled == 950
    assert runs.facts().excluded == 0
    larger, everything = runs.split(names, sample=200), runs.split(names)
    assert {image: larger.get(image) for image in tried} == tried
    assert {image: everything.get(image) for image in larger} == larger
    assert runs.facts().not_sampled == 0


def test_sample_takes_near_duplicates_together_and_is_smaller_by_less_than_a_group() -> None:
    names = image_names(100)
    fours = NearDuplicates({name: f"{random.Random(n // 4).getrandbits(63):016x}" for n, name in enumerate(names)})
    sample = sample_images(names, fours, 50)

    assert len(sample) == 48
    assert all(len(sample & set(names[start : start + 4])) in (0, 4) for start in range(0, 100, 4))
    assert sample < sample_images(names, fours, 60)
    assert sample_images(names, fours, 1_000) == set(names)
    assert sample_images(names, fours, 3) == set()


def test_sample_that_has_no_room_for_its_groups_says_what_to_do() -> None:
    names = image_names(60)
    runs = RunSequence(dict.fromkeys(names[:50], 1))
    with pytest.raises(TooFewImages, match=r"sample 40 takes 10 images, fewer than min_images 20.* Raise sample"):
        runs.split(names, sample=40)


SHARES = Shares(test=0.2, validation=0.1, maximum=500)
NO_HASHES = NearDuplicates({})


def classes(counts: Mapping[str, int]) -> dict[str, str]:
    """Return the class of each image; ``counts`` has the number of images by class."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return dict(zip(shuffled(image_names(len(labels))), labels, strict=True))


def counts_by_set(sets: Mapping[str, SetName], strata: Mapping[str, str]) -> dict[SetName, Counter[str]]:
    counts: dict[SetName, Counter[str]] = {"train": Counter(), "validation": Counter(), "test": Counter()}
    for image, name in sets.items():
        counts[name][strata.get(image, "")] += 1
    return counts


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8))
def test_each_set_has_the_same_share_of_every_class(sizes: list[int]) -> None:
    strata = classes({f"class {number}": 10 + size for number, size in enumerate(sizes)})
    sets = assign_sets(strata, NO_HASHES, {}, replace(SHARES, maximum=10_000), strata)
    counts = counts_by_set(sets, strata)
    test_share = max(0.2, 8 / len(strata))

    assert sets.keys() == strata.keys()
    assert counts["test"].total() == round(test_share * len(strata))
    for label, total in Counter(strata.values()).items():
        assert abs(counts["test"][label] - test_share * total) < 1
        assert abs(counts["validation"][label] - 0.1 * (total - counts["test"][label])) < 1


def test_images_without_a_class_are_chosen_by_their_hash_as_before() -> None:
    strata = classes({"cat": 40, "dog": 40})
    others = {f"{n:064x}" for n in range(1000, 1200)}
    sets = assign_sets({*strata, *others}, NO_HASHES, {}, SHARES, strata)
    without = assign_sets({*strata, *others}, NO_HASHES, {}, SHARES, {})

    assert {image: sets[image] for image in others} == {image: without[image] for image in others}
    assert counts_by_set({image: sets[image] for image in strata}, strata)["test"] == {"cat": 8, "dog": 8}


def test_images_that_have_a_set_keep_it_and_count_for_their_class() -> None:
    strata = classes({"cat": 60, "dog": 60})
    cats = [image for image, label in strata.items() if label == "cat"]
    earlier: dict[str, SetName] = {image: "test" if n < 15 else "train" for n, image in enumerate(cats[:30])}
    sets = assign_sets(strata, NO_HASHES, earlier, SHARES, strata)

    assert {image: sets[image] for image in earlier} == earlier
    # The cats have more than their share of the test set already.
    assert counts_by_set(sets, strata)["test"] == {"cat": 15, "dog": 12}


def test_class_that_lacks_test_images_gets_them_from_its_new_images() -> None:
    strata = classes({"cat": 100, "dog": 100})
    cats = [image for image, label in strata.items() if label == "cat"]
    sets = assign_sets(strata, NO_HASHES, dict.fromkeys(cats[:60], "train"), SHARES, strata)

    assert counts_by_set(sets, strata)["test"] == {"cat": 20, "dog": 20}


def test_test_set_of_known_classes_has_at_most_its_maximum_and_equal_shares() -> None:
    strata = classes({"cat": 300, "dog": 300, "bird": 600})
    counts = counts_by_set(assign_sets(strata, NO_HASHES, {}, replace(SHARES, maximum=40), strata), strata)

    assert counts["test"] == {"cat": 10, "dog": 10, "bird": 20}
    assert counts["validation"] == {"cat": 10, "dog": 10, "bird": 20}


def test_collection_of_known_classes_tests_on_at_least_8_images() -> None:
    strata = classes({"cat": 10, "dog": 10})

    assert counts_by_set(assign_sets(strata, NO_HASHES, {}, SHARES, strata), strata)["test"] == {"cat": 4, "dog": 4}


@given(near_hashes, st.lists(st.sampled_from(["cat", "dog", None]), min_size=120, max_size=120))
def test_near_duplicates_of_different_classes_are_in_the_same_set(
    draws: list[tuple[int, int, int, int]], labels: list[str | None]
) -> None:
    centres = [random.Random(n).getrandbits(63) for n in range(6)]
    hashes = {
        image: f"{centres[centre] ^ (1 << a) ^ (1 << b) ^ (1 << c):x}"
        for image, (centre, a, b, c) in zip(image_names(len(draws)), draws, strict=True)
    }
    strata = {image: label for image, label in zip(hashes, labels, strict=False) if label}
    near_duplicates = NearDuplicates(hashes)
    sets = assign_sets(hashes, near_duplicates, {}, SHARES, strata)

    assert sets.keys() == hashes.keys()
    assert all(sets[image] == sets[other] for image in hashes for other in near_duplicates.of(image))


def test_burst_larger_than_its_class_should_have_in_the_test_set_is_in_the_training_set() -> None:
    strata = classes({"cat": 20, "dog": 20})
    cats = [image for image, label in strata.items() if label == "cat"]
    sets = assign_sets(strata, NearDuplicates(dict.fromkeys(cats[:10], "0")), {}, SHARES, strata)

    assert {sets[image] for image in cats[:10]} == {"train"}
    assert counts_by_set(sets, strata)["test"] == {"cat": 4, "dog": 4}
