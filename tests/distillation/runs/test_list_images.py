from __future__ import annotations

from typing import Any

import pytest

from distillation import keys
from distillation.documents import Interval
from distillation.errors import TooFewImages
from distillation.records import Request, Run, TrainedModel
from distillation.runs.list_images import expected_invalid_share, list_images
from distillation.storage import Bucket
from tests.support.apply_run import REFUSED_PHOTO, resized_photos
from tests.support.builders import any_report
from tests.support.fakes import bucket
from tests.support.stored import read_json, read_lines


def test_each_distinct_image_is_listed_and_priced_once() -> None:
    run, data = resized_photos(
        {"photo": "holiday/a.jpg", "image": "aa"}, {"photo": "holiday/b.jpg", "image": "aa"}, REFUSED_PHOTO
    )
    result = list_images(run, data, bucket())

    assert (result.photos, result.refused, result.images) == (3, 1, 1)
    assert [line["image"] for line in read_lines(data, result.images_key)] == ["aa"]
    statuses = [line.get("status", "ok") for line in read_lines(data, keys.inventory_key(run.name))]
    assert statuses == ["ok", "duplicate", "refused"]
    assert 0 < result.usd < 0.002
    assert read_json(data, keys.estimate_key(run.name))["usd"] == result.usd


def test_budget_that_is_too_small_is_in_the_verdict_with_a_remedy() -> None:
    run, data = resized_photos({"photo": "holiday/a.jpg", "image": "aa"})
    result = list_images(run.model_copy(update={"request": Request(apply="r", max_usd=0)}), data, bucket())

    assert not result.within_budget
    assert result.verdict.endswith("Raise max_usd, or use fewer images, and start again.")


def test_collection_without_a_usable_photo_is_refused() -> None:
    with pytest.raises(TooFewImages, match="no photo in 'holiday/' can be used"):
        list_images(*resized_photos(REFUSED_PHOTO, tolerance=1), bucket())


MODEL = TrainedModel(size=12, status="Active", model_name="m", deployment_arn="arn:d")


def collection(count: int, **request: Any) -> tuple[Run, Bucket]:
    """Return a run with ``apply`` about ``count`` photos of 900 x 600 pixels."""
    photos = ({"photo": f"holiday/{n}.jpg", "image": f"{n:04}"} for n in range(count))
    run, data = resized_photos(*photos, **request)
    return run.model_copy(update={"applies": MODEL}), data


def write_evaluation(data: Bucket, valid: Interval, test_images: int) -> None:
    """Write the report of the tuned run, with this share of valid answers."""
    figures = any_report(models=[MODEL], promoted="m").evaluation
    assert figures
    figures = figures.model_copy(update={"metrics": {"n12": {"valid": valid}}, "test_images": test_images})
    report = any_report(models=[MODEL], promoted="m", evaluation=figures)
    data.write_document(keys.report_json_key("tuned-1"), report)


def test_list_says_which_images_are_audited_and_the_estimate_has_their_price() -> None:
    audited, without = collection(100), collection(100, audit_share=0)
    usd = list_images(*audited, bucket()).usd
    lines = list(read_lines(audited[1], keys.split_key("holiday-1", "images")))

    assert sum(line["audit"] for line in lines) == 20
    assert usd > 2 * list_images(*without, bucket()).usd
    assert not any(line["audit"] for line in read_lines(without[1], keys.split_key("holiday-1", "images")))


def test_audited_image_that_has_a_label_already_is_not_priced() -> None:
    run, data = collection(20)
    new = list_images(run, data, bucket()).usd
    for n in range(20):
        data.write(keys.label_key(run.teacher.id, f"{n:04}", 0), b"{}")

    assert list_images(run, data, bucket()).usd == list_images(*collection(20, audit_share=0), bucket()).usd < new


def test_price_of_the_fallback_follows_from_the_valid_answers_of_the_evaluation() -> None:
    usd = []
    for valid in (1.0, 0.9):
        run, data = collection(100, fallback="teacher", audit_share=0)
        write_evaluation(data, Interval(mean=valid, ci95=(valid, valid)), 60)
        usd.append(list_images(run, data, bucket()).usd)

    assert usd[0] == list_images(*collection(100, audit_share=0), bucket()).usd < usd[1]


@pytest.mark.parametrize(
    ("valid", "test_images", "bounds"),
    [
        (Interval(mean=1.0, ci95=(1.0, 1.0)), 60, (0, 0, 0.05)),
        (Interval(mean=0.9, ci95=(0.8, 0.95)), 60, (0.05, 0.1, 0.2)),
        (Interval(mean=1.0, ci95=(1.0, 1.0)), 2, (0, 0, 1)),
    ],
)
def test_share_of_invalid_answers_has_a_bound_above_0_if_the_evaluation_saw_none(
    valid: Interval, test_images: int, bounds: tuple[float, float, float]
) -> None:
    run, data = collection(1)
    write_evaluation(data, valid, test_images)
    share = expected_invalid_share(run, data)

    assert (share.low, share.expected, share.high) == pytest.approx(bounds)


@pytest.mark.parametrize("body", [None, b"{"])
def test_share_of_invalid_answers_is_unknown_without_a_report(body: bytes | None) -> None:
    run, data = collection(1)
    if body is not None:
        data.write(keys.report_json_key("tuned-1"), body)
    share = expected_invalid_share(run, data)

    assert (share.low, share.expected, share.high) == (0, 0.02, 1)
