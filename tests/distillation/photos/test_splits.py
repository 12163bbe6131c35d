from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from distillation import keys
from distillation.errors import EmptyCollection, InvalidRequest, ToleranceExceeded, TooFewImages
from distillation.photos import splits
from distillation.storage import Bucket
from tests.support.builders import any_run, image_names
from tests.support.fakes import bucket
from tests.support.resized_collection import images_to_label, resized_collection, rounds, sets_by_image, split
from tests.support.stored import read_json, read_lines


def members(data: Bucket, name: str) -> list[str]:
    return [line["image"] for line in read_lines(data, keys.split_key("holiday-1", name))]


def test_sets_do_not_overlap_and_all_images_of_the_largest_size_are_labelled() -> None:
    data = resized_collection(image_names(100))
    result = split(any_run(train_sizes=[20, 40, 500]), data)
    train, test = members(data, "train"), members(data, "test")

    assert not set(train) & set(test)
    assert len(train) + len(test) == 100 == result.images
    assert rounds(data)[-1].sizes == [20, 40, len(train)]
    assert sorted(images_to_label(data)) == sorted([*train, *test])


def test_retried_split_gives_the_same_sets() -> None:
    data = resized_collection(image_names(50))
    first = split(any_run(), data), sets_by_image(data)

    assert (split(any_run(), data), sets_by_image(data)) == first


def test_split_facts_count_duplicates_groups_and_flags() -> None:
    names = image_names(40)
    hashes = {name: random.Random(name).getrandbits(63) for name in names}
    hashes[names[1]] = hashes[names[0]] ^ 1
    flags = {names[3]: ["dark"], names[4]: ["dark", "blurred"]}
    data = resized_collection([*names, names[2]], refused=1, hashes=hashes, flags=flags)
    result = split(any_run(), data)
    facts = read_json(data, keys.split_facts_key("holiday-1"))

    assert facts == {
        **{"photos": 42, "refused": 1, "images": 40, "exact_duplicates": 1, "near_duplicates": 1, "groups": 39},
        **{name: getattr(result, name) for name in ("train", "validation", "test")},
        **{
            "excluded": 0,
            "not_sampled": 0,
            "held_out": 0,
            "rejected": 0,
            "own_labels": 0,
            "flags": {"blurred": 1, "dark": 2},
            "skipped": {},
            "notes": [],
        },
        "leaked_by_random_split": facts["leaked_by_random_split"],
    }
    share = result.test / 40
    assert facts["leaked_by_random_split"] == round(2 * 2 * share * (1 - share), 1)
    assert {
        line["group"] for line in read_lines(data, keys.inventory_key("holiday-1")) if line.get("image") == names[1]
    }


def test_flagged_images_are_excluded_only_on_request() -> None:
    names = image_names(40)
    flags = {names[3]: ["dark"], names[4]: ["blurred"]}

    assert split(any_run(), resized_collection(names, flags=flags)).images == 40
    data = resized_collection(names, flags=flags)
    assert split(any_run(exclude_flags=["dark"]), data).images == 39
    (line,) = [line for line in read_lines(data, keys.inventory_key("holiday-1")) if line["status"] == "excluded"]
    assert (line["image"], line["reason"]) == (names[3], "dark: excluded by exclude_flags")


def test_training_and_validation_sets_together_have_at_most_the_records_that_bedrock_accepts() -> None:
    data = resized_collection(image_names(21_500))
    result = split(any_run(test_share=0.05), data)

    assert result.validation > 0
    assert max(rounds(data)[-1].sizes) + result.validation == 20_000


def test_validation_set_needs_200_images() -> None:
    assert split(any_run(), resized_collection(image_names(199))).validation == 0
    assert split(any_run(), resized_collection(image_names(300))).validation > 0


@pytest.mark.parametrize(
    ("images", "sizes", "has_validation"), [(800, [20, 40], True), (800, [40], False), (300, [20, 40], False)]
)
def test_validation_images_are_predicted_only_if_several_sizes_are_chosen_on_50_of_them(
    images: int, sizes: list[int], has_validation: bool
) -> None:
    data = resized_collection(image_names(images))
    result = split(any_run(train_sizes=sizes), data)
    lines = list(read_lines(data, rounds(data)[-1].to_predict_key))

    assert (result.validation >= 50) == (images == 800)
    assert [line["image"] for line in lines if line["set"] == "test"] == members(data, "test")
    validation = [line["image"] for line in lines if line["set"] == "validation"]
    assert validation == (members(data, "validation") if has_validation else [])


def test_photos_with_the_same_bytes_are_one_image() -> None:
    data = resized_collection([*image_names(30), *image_names(2)])

    assert split(any_run(), data).images == 30
    statuses = [line["status"] for line in read_lines(data, keys.inventory_key("holiday-1"))]
    assert statuses.count("duplicate") == 2


@pytest.mark.parametrize(
    ("data", "request_fields", "error"),
    [
        (resized_collection([]), {}, EmptyCollection),
        (resized_collection(image_names(19)), {}, TooFewImages),
        (resized_collection(image_names(40), refused=4), {}, ToleranceExceeded),
    ],
)
def test_unusable_collection_raises(data: Bucket, request_fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        split(any_run(**request_fields), data)


def test_refused_photos_within_the_tolerance_do_not_stop_a_run() -> None:
    assert split(any_run(tolerance=0.2), resized_collection(image_names(40), refused=4)).refused == 4


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00", b'{"image": "a"', b"[]", b'{"image": "a", "set": "other"}'])
def test_damaged_set_assignments_are_ignored_and_written_again(damage: bytes) -> None:
    names = image_names(60)
    data = resized_collection(names)
    split(any_run(), data)
    sets = sets_by_image(data)
    (key,) = data.keys("sets/")
    first, *others = data.read(key).splitlines(keepends=True)
    data.write(key, b"".join([damage + b"\n", *others]))
    resized_collection(names, data=data, run="holiday-2")
    later = any_run().model_copy(update={"name": "holiday-2", "created": "2026-11-25T00:00:00+00:00"})

    split(later, data)

    image = json.loads(first)["image"]
    assert {key: name for key, name in sets_by_image(data, "holiday-2").items() if key != image} == {
        key: name for key, name in sets.items() if key != image
    }
    (note,) = read_json(data, keys.split_facts_key("holiday-2"))["notes"]
    assert note.startswith(f"s3://data/{key} line 1 is not what the pipeline wrote: ")
    assert [line["image"] for line in read_lines(data, list(data.keys("sets/"))[1])] == [image]


CLASSES = {"format": "class", "labels": ["cat", "dog", "bird"]}
UNEQUAL_LABELS = "photo,label\n" + "".join(
    f"p{number:04},{'cat' if number < 60 else 'dog' if number < 90 else 'bird'}\n" for number in range(120)
)


def split_with_labels(answers: dict[str, Any], **request: Any) -> Bucket:
    """Split 200 images, of which 60 have your own label ``cat``, 30 ``dog`` and 30 ``bird``; return the Data bucket."""
    data = resized_collection(image_names(200))
    run = any_run(**request).model_copy(update={"answers": answers})
    splits.split(run, data, bucket(**{"holiday/labels.csv": UNEQUAL_LABELS.encode()}))
    return data


@pytest.mark.parametrize("request_fields", [{}, {"own_labels": "gold"}], ids=["trained on", "gold"])
def test_images_with_your_own_classes_are_balanced_between_the_sets(request_fields: dict[str, Any]) -> None:
    data = split_with_labels(CLASSES, test_share=0.2, **request_fields)
    label_of = {line["image"]: line["text"] for line in read_lines(data, keys.own_labels_key("holiday-1"))}
    tested = Counter(label_of[image] for image in members(data, "test") if image in label_of)
    validated = Counter(label_of[image] for image in members(data, "validation") if image in label_of)

    assert tested == {"cat": 12, "dog": 6, "bird": 6}
    assert validated.total() == 10
    assert sorted(validated) == ["bird", "cat", "dog"]


def test_images_with_your_own_keywords_are_divided_by_their_hash() -> None:
    without_labels = resized_collection(image_names(200))
    split(any_run(), without_labels)

    assert sets_by_image(split_with_labels({"format": "keywords"})) == sets_by_image(without_labels)


@pytest.mark.parametrize("before", [{}, {"vocabulary": {"dog": []}, "vocabulary_file": "vocabulary.csv"}])
def test_vocabulary_that_was_uploaded_or_changed_after_the_start_is_refused(before: dict[str, Any]) -> None:
    run = any_run().model_copy(update={"answers": {"format": "keywords", **before}})
    photos = bucket(**{"holiday/vocabulary.csv": b"preferred\ncat\n"})
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv in 'holiday/' was uploaded or changed after the run"):
        splits.split(run, resized_collection(image_names(60)), photos)


@pytest.mark.parametrize(
    ("answers", "body"),
    [
        ({"vocabulary": {"cat": ["kitty"]}, "vocabulary_file": "vocabulary.csv"}, b"preferred,synonyms\ncat,kitty\n"),
        ({"vocabulary": {"dog": []}}, b"preferred\ncat\n"),
        (CLASSES, b"preferred\ncat\n"),
        (CLASSES, b"damaged"),
    ],
    ids=["unchanged", "terms of the prompt", "another format", "damaged, another format"],
)
def test_vocabulary_that_the_run_has_or_does_not_use_is_accepted(answers: dict[str, Any], body: bytes) -> None:
    run = any_run().model_copy(update={"answers": {"format": "keywords"} | answers})
    photos = bucket(**{"holiday/vocabulary.csv": body})

    assert splits.split(run, resized_collection(image_names(60)), photos).images == 60


def test_run_keeps_the_vocabulary_that_was_deleted_after_its_start() -> None:
    answers = {"format": "keywords", "vocabulary": {"dog": []}, "vocabulary_file": "vocabulary.csv"}
    run = any_run().model_copy(update={"answers": answers})

    assert splits.split(run, resized_collection(image_names(60)), bucket()).images == 60
