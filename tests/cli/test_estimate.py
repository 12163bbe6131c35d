"""``distill estimate`` without AWS."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.estimate import estimate_photos, measure_collection, measure_folder
from cli.requests import resolve_request
from cli.stage import Stage, stage_settings
from distillation.errors import DistillationError
from distillation.events import S3Item
from distillation.photos.listing import list_collection
from distillation.photos.resize_batch import resize_batch
from distillation.photos.resizer import MAXIMUM_BYTES, PhotoRefused, resize
from distillation.photos.splits import split
from distillation.runs.preflight import Account
from distillation.storage import Bucket
from tests.distillation.photos.raw_files import raw_file
from tests.support.account import stubbed_account
from tests.support.command import distill
from tests.support.fakes import bucket

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


@pytest.mark.parametrize("body", [b"no image", b""])
def test_unusable_file_has_the_reason_that_resize_would_give(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(body)
    (tmp_path / "b.xmp").write_bytes(b"sidecar file")
    (photo,) = measure_folder(tmp_path, 900)
    with pytest.raises(PhotoRefused) as refusal:
        resize(body, 900)

    assert (photo.photo, photo.size, photo.reason) == ("a.jpg", None, str(refusal.value))


def test_photo_of_a_collection_that_resize_would_refuse_for_its_bytes_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = bucket(**{"photos/a.jpg": next(PHOTOS.glob("*.jpg")).read_bytes()})
    monkeypatch.setattr(Bucket, "list", lambda *_: [{"Key": "photos/a.jpg", "Size": MAXIMUM_BYTES + 1}])
    monkeypatch.delattr(Bucket, "read")
    (photo,) = measure_collection(photos, resolve_request("photos/", {}, "dev", "us-east-1"))

    assert photo.size is None
    assert photo.reason == "104,857,601 bytes, more than the maximum of 104,857,600. Save it smaller."


def test_raw_files_of_a_collection_are_measured_and_replaced_as_in_a_run() -> None:
    jpeg = next(PHOTOS.glob("*.jpg")).read_bytes()
    # The second image is behind the first bytes that are read of other photos.
    raw = raw_file([(160, 160, "preview"), (1200, 800, "jpeg")])
    files = {"1.jpg": jpeg, "1.nef": raw, "2.jpg": b"damaged", "2.nef": raw, "3.nef": b""}
    photos = bucket(**{f"photos/{name}": body for name, body in files.items()})
    measured = list(measure_collection(photos, resolve_request("photos/", {}, "dev", "us-east-1")))
    statuses = [(photo.photo.removeprefix("photos/"), photo.inventory_line("").status) for photo in measured]

    assert statuses == [
        ("1.jpg", "ok"),
        ("1.nef", "ignored"),
        ("2.jpg", "refused"),
        ("2.nef", "ok"),
        ("3.nef", "refused"),
    ]
    assert measured[3].size == (900, 600)


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


def test_own_labels_are_checked_with_the_request(tmp_path: Path) -> None:
    for path in sorted(PHOTOS.glob("*.jpg")):
        shutil.copy(path, tmp_path)
    photo = min(PHOTOS.glob("*.jpg")).name
    (tmp_path / "Labels.CSV").write_text(f"photo;label\n{photo};cat, sofa\n", "utf-8")
    refused = distill("estimate", tmp_path, "--json")
    (tmp_path / "gold.json").write_text('{"own_labels": "gold"}', "utf-8")
    (tmp_path / "fewer.json").write_text('{"keywords_min": 2}', "utf-8")

    assert refused.exit_code
    assert "set keywords_min to 2 in distill.json. Or set own_labels to gold" in refused.stdout
    for request in ("gold.json", "fewer.json"):
        assert distill("estimate", tmp_path, "--request", tmp_path / request, "--json").exit_code == 0


def test_vocabulary_is_checked_with_the_request(tmp_path: Path) -> None:
    for path in sorted(PHOTOS.glob("*.jpg")):
        shutil.copy(path, tmp_path)
    (tmp_path / "closed.json").write_text('{"closed_vocabulary": true}', "utf-8")
    without = distill("estimate", tmp_path, "--request", tmp_path / "closed.json")
    (tmp_path / "Vocabulary.CSV").write_text("preferred;synonyms\ncat;kitty\n", "utf-8")
    with_vocabulary = distill("estimate", tmp_path, "--request", tmp_path / "closed.json", "--json")
    (tmp_path / "Vocabulary.CSV").write_text("preferred;synonyms\ncat;kitty\ndog;kitty\n", "utf-8")
    ambiguous = distill("estimate", tmp_path)

    assert without.exit_code
    assert "closed_vocabulary: the collection has no vocabulary.csv" in " ".join(without.output.split())
    assert with_vocabulary.exit_code == 0, with_vocabulary.output
    assert "vocabulary.csv: line 3: 'kitty' stands for 'dog' here" in " ".join(ambiguous.output.split())


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


def test_sample_is_shown_beside_the_number_of_photos(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"sample": 50, "until": "Baseline"}', "utf-8")
    result = distill("estimate", "1000x900x600", "--request", request)

    assert result.stdout.startswith("1000x900x600: 50 of 1000 photos, of which 12 for testing; training sizes 38\n")


def test_options_override_the_fields_of_the_request(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"sample": 50, "until": "Baseline"}', "utf-8")
    result = distill("estimate", "1000x900x600", "--request", request, "--set", "sample=60")

    assert result.stdout.startswith("1000x900x600: 60 of 1000 photos")
    unknown = distill("estimate", "1000x900x600", "--set", "smaple=60")
    assert (unknown.exit_code, "unknown field 'smaple'" in unknown.stderr) == (2, True)


def test_lines_of_models_with_long_names_are_not_cut_off() -> None:
    table = distill("estimate", "1000x900x600", "--stage", "local").stdout.split("\n\n")[1].splitlines()
    names = [re.split(" {2,}", line.strip())[0] for line in table[1:]]

    assert "LabelImages: local teacher (EfficientNet-Lite3 + SSD, not Nova), output" in names
    assert len(set(names)) == len(names)


def test_volume_whose_savings_are_below_the_storage_cost_gives_the_advice_not_to_distil(tmp_path: Path) -> None:
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
    assert re.search(r"This run would be refused: the run needs 6\.\d days of the account's tokens per day", text)
    assert "Warning: the run uses 6." in text
    assert result.exit_code == 1


def photos_in(folder: Path, count: int) -> Path:
    """Write ``count`` photos that are not near-duplicates of each other."""
    folder.mkdir()
    for number in range(count):
        pixels = random.Random(number).randbytes(64 * 48 * 3)
        Image.frombytes("RGB", (64, 48), pixels).save(folder / f"{number}.jpg")
    return folder


def error_of_run(folder: Path, **request: Any) -> str:
    """Return the error with which AwaitUpload, ResizePhotos and Split end a run on the uploaded folder."""
    collection = f"{folder.name}/"
    run = resolve_request(collection, request, "dev", "us-east-1")
    photos, data = bucket(**{f"{collection}{path.name}": path.read_bytes() for path in folder.iterdir()}), bucket()
    listing = list_collection(run.name, photos, collection, "", data)
    list_collection(run.name, photos, collection, listing.digest, data)
    resize_batch(run, [S3Item(Key=item["Key"], Size=item["Size"]) for item in photos.list(collection)], photos, data)
    with pytest.raises(DistillationError) as error:
        split(run, data, photos)
    return str(error.value)


def refusals(what: object, tmp_path: Path, *options: str, **request: Any) -> list[str]:
    """Return the refusals of a run, which the text output has too."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request), "utf-8")
    found: list[str] = estimated(what, "--request", file, *options, code=1)["refusals"]
    text = distill("estimate", str(what), "--request", file, *options)
    assert text.exit_code == 1
    assert [line for line in text.stdout.splitlines() if line.startswith("This run would be refused: ")] == [
        f"This run would be refused: {refusal}" for refusal in found
    ]
    return found


@pytest.mark.parametrize(
    ("photos", "files", "request_fields"),
    [
        pytest.param(40, {f"bad{number}.jpg": "text" for number in range(3)}, {}, id="tolerance"),
        pytest.param(19, {}, {}, id="min_images"),
        pytest.param(30, {"labels.csv": "photo,label\n99.jpg,cat\n0.jpg,cat"}, {}, id="labels.csv"),
        pytest.param(30, {"labels.jsonl": '{"photo": "0.jpg"}\nx'}, {"own_labels": "gold"}, id="labels.jsonl"),
        pytest.param(30, {"labels.csv": "", "labels.jsonl": ""}, {}, id="two files of labels"),
        pytest.param(30, {}, {"own_labels": "train"}, id="no file of labels"),
    ],
)
def test_folder_is_refused_with_the_error_of_the_run(
    photos: int, files: dict[str, str], request_fields: dict[str, Any], tmp_path: Path
) -> None:
    folder = photos_in(tmp_path / "holiday", photos)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")

    assert refusals(folder, tmp_path, **request_fields) == [error_of_run(folder, **request_fields)]


def test_all_refusals_are_shown_together(tmp_path: Path) -> None:
    folder = photos_in(tmp_path / "holiday", 30)
    for number in range(3):
        (folder / f"bad{number}.jpg").write_text("text", "utf-8")
    (folder / "labels.csv").write_text("photo,label\n99.jpg,cat", "utf-8")
    quotas = {"amazon.nova-pro-v1:0": {"tokens_per_day": 1000}}
    tolerance, labels, quota, budget = refusals(folder, tmp_path, max_usd=0.01, quotas=quotas)

    assert tolerance.startswith("3 of 33 photos were set aside, more than the tolerance of 5%. First: holiday/bad0.jpg")
    assert labels.startswith("labels.csv line 2 names '99.jpg', which is not a photo in 'holiday/'")
    assert quota.startswith("one question to amazon.nova-pro-v1:0 takes")
    assert "over max_usd $0.01" in budget


def test_photos_that_cannot_be_used_are_a_refusal_and_no_photos_are_a_wrong_argument(tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    result = distill("estimate", folder)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "no photos" in result.stderr

    (folder / "a.jpg").write_text("text", "utf-8")
    (few,) = refusals(folder, tmp_path)
    assert few.startswith("'holiday/' has 0 usable images. At least 20 are needed")


def test_more_photos_than_the_stage_allows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = stage_settings("dev") | {"max_photos": 300}
    monkeypatch.setattr("cli.requests.stage_settings", lambda _: settings)
    (refusal,) = refusals("400x900x600", tmp_path, max_usd=200)

    assert refusal.startswith("400x900x600/ contains 400 photos, more than the stage's max_photos 300.")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("photoz", "photoz: no such folder. For a collection of stage 'dev' write it with a slash at its end"),
        ("./photoz/", "./photoz/: no such folder"),
        ("~/photoz/", "~/photoz/: no such folder"),
        ("/photoz/", "/photoz/: no such folder"),
        (
            "900x4000",
            "900x4000: no such folder. For photos that do not exist yet, write COUNTxWIDTHxHEIGHT, such as",
        ),
        ("900X4000X3000", "write COUNTxWIDTHxHEIGHT"),
        ("1,000x4000x3000", "write COUNTxWIDTHxHEIGHT"),
        ("900x4000x3000x3", "write COUNTxWIDTHxHEIGHT"),
        ("5000000x4000x3000", "5000000 photos: a run has at most 20,000 images"),
        ("0x4000x3000", "0 photos: a run has at most 20,000 images, and at least 1."),
        ("900x20x3000", "20x3000 pixels: a photo has at least 25 pixels on each side"),
        ("900x40000x30000", "at most 100,000,000 in all"),
        ("holiday/../other/", "'holiday/../other/' is not a collection"),
        ("9999999999999x10x10", "write COUNTxWIDTHxHEIGHT"),
    ],
)
def test_paths_and_syntax_are_checked_before_credentials(
    what: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stage, "client", None)
    result = distill("estimate", what)

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_request_for_a_collection_is_checked_before_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stage, "client", None)
    request = tmp_path / "request.json"
    request.write_text('{"temprature": 1}', "utf-8")
    result = distill("estimate", "holiday/", "--request", request)

    assert (result.exit_code, "unknown field 'temprature'" in result.stderr) == (2, True)


def test_an_archive_is_not_estimated(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    result = distill("estimate", tmp_path / "a.zip")

    assert (result.exit_code, "a.zip is a file. Name the folder" in result.stderr) == (2, True)


def test_fewer_images_than_the_students_family_needs_are_refused(tmp_path: Path) -> None:
    (refusal,) = refusals("100x900x600", tmp_path, "--stage", "local", student="local.student-pixels-2-v1:0")

    assert refusal == (
        "75 training images are left after the test and validation sets, but 'local.student-pixels-2-v1:0' needs at "
        "least 200 records. Add photos, lower test_share or raise duplicate_records."
    )


def test_request_that_is_not_valid_is_a_wrong_argument(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"max_usd": 201}', "utf-8")
    result = distill("estimate", "100x900x600", "--request", request)

    assert result.exit_code == 2
    assert result.stderr.startswith("distill estimate: max_usd: 201.00 is above the stage's max_usd_per_run 200.00.")


def test_files_that_are_not_photos_are_counted_as_in_an_upload(tmp_path: Path) -> None:
    folder = photos_in(tmp_path / "holiday", 30)
    for name in ("a.mov", "b.MP4", "Icon\r", "notes.txt"):
        (folder / name).write_bytes(b"x")
    (folder / "!bad\nname.jpg").write_bytes(b"x")
    text = distill("estimate", str(folder)).stdout.splitlines()

    assert text[0].startswith("1 photo cannot be used, such as !bad name.jpg: not an image")
    assert text[1] == "4 other files skipped: 2 video, 1 system file, 1 text"
    assert estimated(folder)["skipped"] == {"system file": 1, "video": 2, "text": 1}


def test_run_that_can_start_says_what_was_not_checked(tmp_path: Path) -> None:
    folder = photos_in(tmp_path / "holiday", 30)
    estimate = estimated(folder)
    text = distill("estimate", folder).stdout

    assert estimate["refusals"] == []
    assert "would be refused" not in text
    assert f"Not checked: {'; '.join(estimate['not_checked'])}." in text
    assert "the account's access to the models, its quotas, and the stage's budget of the month" in text
    assert "your own labels" not in text
    assert "your own labels" in estimated("30x900x600")["not_checked"]


class StageFake:
    """The stage ``dev`` with photos in the collection ``holiday/``."""

    name, region = "dev", "us-east-1"

    def __init__(self, folder: Path, account: Account) -> None:
        self.photos = bucket(**{f"holiday/{path.name}": path.read_bytes() for path in folder.iterdir()})
        self.data, self._account = bucket(), account

    def client(self, service: str) -> Any:
        account = self._account
        return {
            "bedrock": account.bedrock,
            "bedrock-runtime": account.runtime,
            "service-quotas": account.quotas,
            "lambda": account.functions,
            "stepfunctions": account.states,
        }[service]


def test_collection_is_checked_in_the_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos_in(tmp_path / "photos", 30)
    (folder / "labels.csv").write_text("photo,label\n99.jpg,cat", "utf-8")
    with stubbed_account() as aws:
        for code in ("L-D690997B", "L-45E0AD92"):
            aws.expect_quota(code, 1e9)
        aws.expect_student("LEGACY")
        aws.expect_custom_models()
        for code in ("L-CB5B847D", "L-430C95DD", "L-031F46A7"):
            aws.expect_quota(code, 20_000)
        stage: Any = StageFake(folder, aws.account)
        assert not estimate_photos("holiday/", None, stage, False, as_json=True)
    estimate = json.loads(capsys.readouterr().out)
    labels, student = estimate["refusals"]

    assert labels.startswith("labels.csv line 2 names '99.jpg', which is not a photo in 'holiday/'")
    assert student.startswith("student 'amazon.nova-lite-v1:0' is LEGACY on Bedrock")
    assert "whether the teacher answers, because the question is billed" in estimate["not_checked"]
    assert list(stage.data.keys("")) == []


def test_model_that_cannot_be_applied_is_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"apply": "old"}', "utf-8")
    with stubbed_account() as aws:
        stage: Any = StageFake(photos_in(tmp_path / "photos", 1), aws.account)
        assert not estimate_photos("holiday/", request, stage, False, as_json=False)

    assert capsys.readouterr().out.endswith(
        "This run would be refused: apply: this stage has no run 'old'. List its runs with: distill runs\n"
    )
