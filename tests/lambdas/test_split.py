from __future__ import annotations

from typing import Any

import pytest

from lambdas.shared import layout
from lambdas.shared.errors import EmptyCollection, TooFewImages, TooManySetAside
from lambdas.shared.objects import Objects
from lambdas.split.sets import split
from tests.support.stores import any_run, bucket


def resized(images: list[str], refused: int = 0) -> Objects:
    data = bucket()
    lines: list[dict[str, Any]] = [
        {"photo": f"p{n:04}", "status": "ok", "image": image, "width": 900, "height": 600, "bytes": 1}
        for n, image in enumerate(images)
    ]
    lines += [{"photo": f"bad{n}", "status": "refused", "reason": "damaged"} for n in range(refused)]
    data.write_lines(layout.part("holiday-1", "resize", "b"), lines)
    return data


def members(data: Objects, name: str) -> list[str]:
    return [line["image"] for line in data.read_lines(layout.split("holiday-1", name))]


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


def test_adding_photos_moves_none_of_the_others() -> None:
    small, large = resized(images(100)), resized(images(190))
    split(any_run(), small)
    split(any_run(), large)

    for name in ("train", "test"):
        assert set(members(small, name)) <= set(members(large, name))


def test_validation_set_only_from_200_images() -> None:
    assert split(any_run(), resized(images(199)))["validation"] == 0
    assert split(any_run(), resized(images(300)))["validation"] > 0


def test_same_bytes_under_two_names_are_one_image() -> None:
    data = resized([*images(30), *images(2)])

    assert split(any_run(), data)["images"] == 30
    statuses = [line["status"] for line in data.read_lines(layout.inventory("holiday-1"))]
    assert statuses.count("duplicate") == 2


@pytest.mark.parametrize(
    ("data", "request_fields", "failure"),
    [
        (resized([]), {}, EmptyCollection),
        (resized(images(19)), {}, TooFewImages),
        (resized(images(40), refused=4), {}, TooManySetAside),
    ],
)
def test_what_cannot_go_on_is_refused(data: Objects, request_fields: dict[str, Any], failure: type[Exception]) -> None:
    with pytest.raises(failure):
        split(any_run(**request_fields), data)


def test_refused_photos_up_to_the_tolerance_do_not_stop_a_run() -> None:
    assert split(any_run(tolerance=0.2), resized(images(40), refused=4))["refused"] == 4
