"""``distill estimate`` without AWS."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.estimate import measure_folder
from distillation.photos.resizer import PhotoRefused, resize
from tests.support.command import distill

PHOTOS = Path(__file__).parents[2] / "samples/photos"


def estimated(*arguments: object, code: int = 0) -> Any:
    result = distill("estimate", *map(str, arguments), "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("side", [900, 200])
def test_size_from_the_header_is_that_of_the_resized_image(side: int, tmp_path: Path) -> None:
    for path in sorted(PHOTOS.glob("*.jpg"))[:8]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for photo in measure_folder(tmp_path, side):
        image = resize((tmp_path / photo.photo).read_bytes(), side)
        # Resize rotates a photo according to its EXIF orientation, which does not change the tokens.
        assert sorted(photo.size or ()) == sorted(image.pixels.size)


def test_unusable_file_has_the_reason_that_resize_would_give(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    (tmp_path / "b.xmp").write_bytes(b"sidecar file")
    (photo,) = measure_folder(tmp_path, 900)
    with pytest.raises(PhotoRefused) as refusal:
        resize(b"no image", 900)

    assert (photo.photo, photo.size, photo.reason) == ("a.jpg", None, str(refusal.value))


def test_unreadable_photo_is_one_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    open_file = Path.open

    def denied(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.suffix == ".jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *arguments, **options)

    (tmp_path / "a.jpg").write_bytes(b"")
    monkeypatch.setattr(Path, "open", denied)
    result = distill("estimate", tmp_path)

    assert result.exit_code == 2
    assert result.stderr == f"distill estimate: [Errno 13] Permission denied: '{tmp_path / 'a.jpg'}'\n"


def test_folder_is_estimated_without_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    shutil.copytree(PHOTOS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "notes.jpg").write_text("no image", "utf-8")
    estimate = estimated(tmp_path)

    assert (estimate["images"], estimate["test"], estimate["sizes"]) == (45, 11, [34])
    assert [item["photo"] for item in estimate["unreadable"]] == ["notes.jpg"]
    assert any("predicted from the number of photos" in source for source in estimate["range_from"])


def test_hypothetical_photos_are_estimated_by_count_and_size(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"max_usd": 1}', "utf-8")
    estimate = estimated("1000x4000x3000", "--request", request, code=1)

    assert estimate["images"] == 1000
    assert not estimate["within_budget"]
    assert estimate["by_step"] == estimated("1000x900x675")["by_step"]


def test_text_has_costs_bounds_time_and_comparisons() -> None:
    result = distill("estimate", "400x900x600")

    assert result.exit_code == 0
    for words in (
        "expected",
        "total",
        "storage, per month",
        "within max_usd $25.00",
        "* depends on a price",
        "80 % power",
    ):
        assert words in result.stdout
    assert "Labelling takes about 2 min at the teacher's rate limit of 250 calls per minute" in result.stdout
    for words in (
        "total to the first verdict",
        "Break-even against the teacher on flex",
        "270 images, 5 epochs",
        "provisioned throughput",
        "80 % power",
        "high bounds",
    ):
        assert words in result.stdout
    table, plan = result.stdout.split("  plan ")
    assert max(map(len, table.splitlines())) <= 80
    assert max(map(len, plan.split("\n\n")[0].splitlines())) <= 100
    assert "\x1b" not in result.stdout


def test_plan_has_a_row_for_each_round_with_labels_cost_and_time(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"max_usd": 150}', "utf-8")
    result = distill("estimate", "20000x4000x3000", "--request", request)
    rows = result.stdout.split("  plan ")[1].split("\n\n")[0].splitlines()[1:]

    assert len(rows) == 6
    assert re.match(r"  Whether distilling is worth it\. +208 +\$0\.\d\d +\$0\.\d\d +\$\d\.\d\d +\d+ min$", rows[0])
    assert re.match(r"  First verdict: a model trained on 300 images\. +1,092 +\$\d\.\d\d .* +\d\.\d h$", rows[1])
    assert all(len(row) <= 100 for row in rows)
    assert re.match(
        r"  A model trained on 19,000 images, if 0\.01 more is expected\. +10,900 .* +\d\d\.\d h$", rows[-1]
    )


def test_sample_is_told_from_the_photos_of_the_collection(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"sample": 50, "until": "Baseline"}', "utf-8")
    result = distill("estimate", "1000x900x600", "--request", request)

    assert result.stdout.startswith("1000x900x600: 50 of 1000 photos, of which 12 for testing; training sizes 38\n")


def test_volume_that_does_not_pay_for_the_storage_is_an_advice_not_to_distil(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"images_per_month": 1000}', "utf-8")
    result = distill("estimate", "400x900x600", "--request", request)

    assert "At 1,000 images a month the teacher on flex costs $0.65; do not distil." in result.stdout
    request.write_text('{"images_per_month": 0}', "utf-8")
    assert "do not distil" in distill("estimate", "400x900x600", "--request", request).stdout


def test_tokens_are_compared_with_the_daily_quota_and_more_than_six_days_are_refused(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    quotas = {"amazon.nova-pro-v1:0": {"tokens_per_day": 100_000}}
    request.write_text(json.dumps({"quotas": quotas}), "utf-8")
    result = distill("estimate", "400x900x600", "--request", request)
    text = " ".join(result.stdout.split())

    assert "Tokens of amazon.nova-lite-v1:0: about 2" in distill("estimate", "400x900x600").stdout
    assert re.search(
        r"Tokens of amazon.nova-pro-v1:0: about 6\d\d,\d{3}, 6\d\d\.\d\d% of the daily quota of 100,000", text
    )
    assert re.search(r"would be refused: it needs 6\.\d days of the daily quotas, more than 6", text)
    assert "Warning: the run uses 6." in text
    assert result.exit_code == 1
