from __future__ import annotations

import pytest

from distillation import keys
from distillation.errors import TooFewImages
from distillation.records import Request
from distillation.runs.list_images import list_images
from tests.support.applying import REFUSED_PHOTO, resized_photos
from tests.support.fakes import bucket


def test_each_distinct_image_is_listed_and_priced_once() -> None:
    run, data = resized_photos(
        {"photo": "holiday/a.jpg", "image": "aa"}, {"photo": "holiday/b.jpg", "image": "aa"}, REFUSED_PHOTO
    )
    result = list_images(run, data, bucket())

    assert (result.photos, result.refused, result.images) == (3, 1, 1)
    assert [line["image"] for line in data.read_lines(result.images_key)] == ["aa"]
    statuses = [line.get("status", "ok") for line in data.read_lines(keys.inventory_key(run.name))]
    assert statuses == ["ok", "duplicate", "refused"]
    assert 0 < result.usd < 0.001
    assert data.read_json(keys.estimate_key(run.name))["usd"] == result.usd


def test_budget_that_is_too_small_is_in_the_verdict_with_a_remedy() -> None:
    run, data = resized_photos({"photo": "holiday/a.jpg", "image": "aa"})
    result = list_images(run.model_copy(update={"request": Request(apply="r", max_usd=0)}), data, bucket())

    assert not result.within_budget
    assert result.verdict.endswith("Raise max_usd, or use fewer images, and start again.")


def test_collection_without_a_usable_photo_is_refused() -> None:
    with pytest.raises(TooFewImages, match="no photo in 'holiday/' can be used"):
        list_images(*resized_photos(REFUSED_PHOTO, tolerance=1), bucket())
