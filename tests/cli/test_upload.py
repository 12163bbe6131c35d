from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from cli.console import CommandError
from cli.own_labels import own_files_in
from cli.upload import open_photos, photos_in, upload_all, upload_files, upload_photos
from distillation.errors import InvalidRequest
from distillation.storage import Bucket
from tests.support.fakes import MemoryS3


class HashedS3(MemoryS3):
    """S3 with MD5 ETags, as after single PUTs, that rejects keys ending in ``bad``."""

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803 - boto3's name
        bodies = {key: body for key, body in self.objects.items() if key.startswith(Prefix)}
        tags = {key: hashlib.md5(body, usedforsecurity=False).hexdigest() for key, body in bodies.items()}
        return [{"Contents": [{"Key": key, "Size": len(bodies[key]), "ETag": f'"{tag}"'} for key, tag in tags.items()]}]

    def head_object(self, *, Bucket: str, Key: str, ChecksumMode: str) -> dict[str, Any]:  # noqa: N803
        """Return no checksum, as for an object that was written without one."""
        return {}

    def put_object(self, *, Key: str, **more: Any) -> None:  # noqa: N803
        if Key.endswith("bad"):
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "later"}}, "PutObject")
        super().put_object(Key=Key, **more)


class EncryptedS3(HashedS3):
    """S3 bucket with a KMS key: its ETags are no MD5, and objects have the checksum that boto3 sent."""

    readable = True

    def paginate(self, **more: Any) -> list[dict[str, Any]]:
        (page,) = super().paginate(**more)
        return [{"Contents": [entry | {"ETag": '"0123456789abcdef"'} for entry in page["Contents"]]}]

    def head_object(self, *, Bucket: str, Key: str, ChecksumMode: str) -> dict[str, Any]:  # noqa: N803
        if not self.readable:
            raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")
        assert ChecksumMode == "ENABLED"
        return {"ChecksumCRC32": base64.b64encode(struct.pack(">I", zlib.crc32(self.objects[Key]))).decode()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(40):
        path = tmp_path / f"day {number % 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * 100)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    return tmp_path


def stage_with(s3: MemoryS3) -> Any:
    return SimpleNamespace(name="dev", region="us-east-1", photos=Bucket(s3, "photos"))  # type: ignore[arg-type]


def listing(photos: Bucket) -> dict[str, tuple[int, str]]:
    return {item["Key"]: (item["Size"], item["ETag"].strip('"')) for item in photos.list("")}


def upload(folder: Path, photos: Bucket) -> dict[str, list[str]]:
    """Upload a folder and return the keys by outcome."""
    files = {f"a/{name}": path for name, path in photos_in(folder).photos.items()}
    outcomes: dict[str, list[str]] = {}
    for result in upload_all(files.items(), photos, listing(photos)):
        outcomes.setdefault(result.outcome, []).append(result.key)
    return {outcome: sorted(keys) for outcome, keys in outcomes.items()}


def test_every_photo_is_uploaded_once_and_again_only_when_it_changes(folder: Path) -> None:
    photos = Bucket(HashedS3(), "photos")  # type: ignore[arg-type] - has the used methods
    first = upload(folder, photos)
    (folder / "day 1/1.jpg").write_bytes(b"!" * 100)
    (folder / "day 1/3.jpg").write_bytes(b"longer" * 100)
    second = upload(folder, photos)

    assert first == {"uploaded": sorted(f"a/{name}" for name in photos_in(folder).photos)}
    assert len(first["uploaded"]) == 40
    assert second["uploaded"] == ["a/day 1/1.jpg", "a/day 1/3.jpg"]
    assert len(second["unchanged"]) == 38


def test_photo_in_a_bucket_with_a_kms_key_is_uploaded_again_only_when_it_changes(folder: Path) -> None:
    s3 = EncryptedS3()
    photos = Bucket(s3, "photos")  # type: ignore[arg-type]
    upload(folder, photos)
    (folder / "day 1/1.jpg").write_bytes(b"!" * 100)

    assert upload(folder, photos)["uploaded"] == ["a/day 1/1.jpg"]
    s3.readable = False
    assert len(upload(folder, photos)["uploaded"]) == 40


def test_failed_upload_does_not_stop_the_others(folder: Path) -> None:
    (folder / "bad").write_bytes(b"x")
    photos = Bucket(HashedS3(), "photos")  # type: ignore[arg-type]
    first = upload(folder, photos)

    assert first["failed"] == ["a/bad"]
    assert len(first["uploaded"]) == 40
    assert upload(folder, photos)["failed"] == ["a/bad"]


@pytest.mark.parametrize("name", ["labels.csv", "Labels.CSV"])
def test_own_labels_are_uploaded_with_the_photos(folder: Path, name: str) -> None:
    (folder / name).write_text("photo,label", "utf-8")
    (folder / "day 1/labels.csv").write_text("not read here, only beside distill.json", "utf-8")

    assert own_files_in(folder) == {"labels.csv": folder / name}
    assert name not in photos_in(folder).photos


def test_own_labels_are_checked_before_the_upload(folder: Path) -> None:
    objects = HashedS3()
    stage = stage_with(objects)
    (folder / "labels.csv").write_text("photo,label\nday 1/none.jpg,cat\n", "utf-8")
    with pytest.raises(InvalidRequest, match=r"labels\.csv line 2 names 'day 1/none\.jpg', which is not a photo"):
        upload_photos(folder, "a", stage, as_json=True)
    assert not objects.objects


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", "photo;label\nday 1/1.jpg;cat\n"),
        ("labels.csv", "photo,subject,people\nday 1/1.jpg,,2\n"),
        ("labels.csv", "photo,caption\nday 1/1.jpg,A cat sleeps on an old red sofa beside a window.\n"),
        ("labels.jsonl", '{"photo": "day 1/1.jpg", "label": {"subject": "cat"}}'),
        ("labels.csv", "photo,label,use\nday 1/1.jpg,,no\n"),
        ("labels.csv", "photo,subject,people,use\nday 1/1.jpg,,,no\n"),
    ],
    ids=["label", "fields", "caption", "object", "rejected", "rejected fields"],
)
def test_own_labels_in_any_answer_format_are_uploaded(folder: Path, name: str, body: str) -> None:
    objects = HashedS3()
    stage = stage_with(objects)
    (folder / name).write_text(body, "utf-8")
    upload_photos(folder, "a", stage, as_json=True)
    assert f"a/{name}" in objects.objects


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("photo\nday 1/1.jpg\n", "missing: label"),
        ("name,label\nday 1/1.jpg,cat\n", "missing: photo"),
        ("photo,subject,people\nday 1/1.jpg, ,\n", "line 2 has an empty label"),
        ("photo,subject\nday 1/1.jpg,User: cat\n", "line 2 has a label that contains User:, which Bedrock reserves"),
    ],
    ids=["no-label", "no-photo", "empty", "reserved"],
)
def test_own_labels_that_no_answer_format_accepts_are_not_uploaded(folder: Path, body: str, message: str) -> None:
    objects = HashedS3()
    stage = stage_with(objects)
    (folder / "labels.csv").write_text(body, "utf-8")
    with pytest.raises(InvalidRequest, match=message):
        upload_photos(folder, "a", stage, as_json=True)
    assert not objects.objects


def test_two_files_of_own_labels_are_an_error(folder: Path) -> None:
    (folder / "labels.csv").write_text("photo,label", "utf-8")
    (folder / "labels.jsonl").write_text("{}", "utf-8")
    with pytest.raises(CommandError, match=r"labels\.csv and labels\.jsonl are both in"):
        own_files_in(folder)


def test_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="contains no photos"):
        photos_in(tmp_path)
    with pytest.raises(CommandError, match="is not a folder"):
        photos_in(tmp_path / "none")


def test_other_files_of_a_folder_are_skipped_whatever_their_size(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.dng", "3.nef", "notes.txt", "Icon\r", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    Image.new("RGB", (90, 60)).save(tmp_path / "2.HEIC", "JPEG")
    for name in ("IMG_0001.MOV", "huge.jpg"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(150 * 2**20)
    content = open_photos(tmp_path)

    assert set(content.photos) == {"1.jpg", "2.HEIC", "3.nef"}
    assert sorted(content.skipped) == [
        "RAW file with a JPEG or HEIC of the same name",
        "hidden file",
        "photo of more than 100 MiB",
        "system file",
        "text",
        "video",
    ]


@pytest.mark.parametrize("damaged", [b"", b"no image"])
def test_raw_file_is_uploaded_if_its_jpeg_cannot_be_used(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "1.nef").write_bytes(b"x")
    (tmp_path / "1.jpg").write_bytes(damaged)

    assert set(photos_in(tmp_path).photos) == {"1.jpg", "1.nef"}


def test_name_that_is_not_utf_8_is_a_problem_of_its_file_alone(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    client = boto3.client("s3", "us-east-1", endpoint_url="http://127.0.0.1:9")
    (result,) = upload_files({"holiday/\udcff.jpg": tmp_path / "1.jpg"}, Bucket(client, "photos"))

    assert result.problem == "its name is not UTF-8, which S3 requires. Rename it."


def test_vocabulary_is_uploaded_with_the_photos(folder: Path) -> None:
    objects = HashedS3()
    stage = stage_with(objects)
    (folder / "Vocabulary.CSV").write_text("preferred,synonyms\ncat,kitty\n", "utf-8")
    upload_photos(folder, "a", stage, as_json=True)

    assert objects.objects["a/vocabulary.csv"] == b"preferred,synonyms\ncat,kitty\n"


def test_vocabulary_is_checked_before_the_upload(folder: Path) -> None:
    objects = HashedS3()
    stage = stage_with(objects)
    (folder / "vocabulary.csv").write_text("preferred,synonyms\ncat,dog\ndog,\n", "utf-8")
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv: line 3: 'dog' stands for 'dog' here and for 'cat'"):
        upload_photos(folder, "a", stage, as_json=True)
    assert not objects.objects
    (folder / "VOCABULARY.csv").write_text("preferred\ncat\n", "utf-8")
    with pytest.raises(CommandError, match=r"VOCABULARY\.csv and vocabulary\.csv are both in"):
        upload_photos(folder, "a", stage, as_json=True)


def photo(width: int = 300, height: int = 200, colour: str = "teal", **options: Any) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(output, "JPEG", **options)
    return output.getvalue()


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def in_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


SOURCES = {
    "folder with spaces": in_folder,
    "photos of mine.zip": zipped,
    "photos.tar": tarred,
    "photos.tar.gz": tarred,
    "a zip without its suffix": zipped,
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_folder_and_an_archive_of_it_give_the_same_collection(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"one/1.jpg": photo(), "ö 2.jpg": photo(colour="red"), "film.mp4": b"x", "one/.DS_Store": b"x"}
    files |= {"Labels.csv": "photo,label\none/1.jpg,cat\nö 2.jpg,dog\n".encode(), "one/1.nef": b"II*"}
    files |= {"VOCABULARY.csv": b"preferred,synonyms\ncat,kitty\ndog,\n"}
    source = SOURCES[name](tmp_path / name, files)
    s3 = HashedS3()
    upload_photos(source, "holiday/", stage_with(s3), as_json=True)
    first = json.loads(capsys.readouterr().out)
    upload_photos(source, "holiday/", stage_with(s3), as_json=True)
    second = json.loads(capsys.readouterr().out)

    wanted = {"one/1.jpg": "one/1.jpg", "ö 2.jpg": "ö 2.jpg", "labels.csv": "Labels.csv"}
    wanted |= {"vocabulary.csv": "VOCABULARY.csv"}
    assert s3.objects == {f"holiday/{key}": files[name] for key, name in wanted.items()}
    assert (first["uploaded"], second["uploaded"], second["unchanged"]) == (4, 0, 4)
    assert sorted(first["skipped"]) == [
        "RAW file with a JPEG or HEIC of the same name",
        "hidden file",
        "video",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_labels_in_an_archive_are_checked_before_the_upload(tmp_path: Path) -> None:
    s3 = HashedS3()
    source = zipped(tmp_path / "a.zip", {"1.jpg": photo(), "labels.csv": b"photo,label\n2.jpg,cat\n"})
    with pytest.raises(InvalidRequest, match=r"names '2\.jpg', which is not a photo"):
        upload_photos(source, "a/", stage_with(s3), as_json=True)
    both = zipped(tmp_path / "b.zip", {"1.jpg": photo(), "labels.csv": b"", "labels.jsonl": b""})
    with pytest.raises(CommandError, match=r"labels\.csv and labels\.jsonl are both in"):
        upload_photos(both, "a/", stage_with(s3), as_json=True)
    vocabulary = zipped(tmp_path / "c.zip", {"1.jpg": photo(), "vocabulary.csv": b"preferred,synonyms\na,b\nb,\n"})
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv: line 3"):
        upload_photos(vocabulary, "a/", stage_with(s3), as_json=True)
    assert not s3.objects


def test_shrunk_photo_has_at_most_2048_pixels_and_no_metadata(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825)[1] = "N"
    original = photo(4000, 3000, exif=exif, comment=b"at home")
    assert b"Maker" in original
    source = in_folder(tmp_path / "photos", {"1.HEIC": original, "2.jpg": photo(90, 60), "3.jpg": b"damaged"})
    s3 = HashedS3()
    upload_photos(source, "a", stage_with(s3), shrink=True, as_json=True)
    summary = json.loads(capsys.readouterr().out)
    upload_photos(source, "a", stage_with(s3), shrink=True, as_json=False)
    again = capsys.readouterr()

    shrunk = s3.objects["a/1.HEIC"]
    with Image.open(io.BytesIO(shrunk)) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (2048, 1536), {})
    assert b"Maker" not in shrunk
    assert b"at home" not in shrunk
    assert Image.open(io.BytesIO(s3.objects["a/2.jpg"])).size == (90, 60)
    assert "a/3.jpg" not in s3.objects
    assert (summary["uploaded"], [entry["key"] for entry in summary["refused"]]) == (2, ["a/3.jpg"])
    assert summary["bytes"] < summary["bytes_read"]
    assert "0 uploaded" in again.out
    assert "2 unchanged" in again.out
    assert "Skipped 1 photo that cannot be used: a/3.jpg: not an image" in again.err


def test_upload_warns_if_a_collection_was_uploaded_the_other_way(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, s3 = in_folder(tmp_path / "photos", {"1.jpg": photo(3000, 2000)}), HashedS3()

    def warning(*, shrink: bool) -> str:
        upload_photos(source, "a/", stage_with(s3), shrink=shrink, as_json=True)
        return capsys.readouterr().err

    assert warning(shrink=False) == ""
    assert list(s3.objects) == ["a/1.jpg"]
    assert "a/ was uploaded without --shrink, and this upload is with --shrink" in warning(shrink=True)
    assert warning(shrink=True) == ""
    assert "a/ was uploaded with --shrink, and this upload is without --shrink" in warning(shrink=False)
    assert warning(shrink=False) == ""


def test_photos_of_an_archive_wait_for_their_upload_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.upload.MAXIMUM_WAITING_BYTES", 250)
    produced, finished = 0, 0
    waiting: list[int] = []

    def files() -> Iterator[tuple[str, bytes]]:
        nonlocal produced
        for number in range(20):
            produced += 1
            waiting.append(produced - finished)
            yield f"a/{number}.jpg", bytes(100)

    photos = Bucket(HashedS3(), "photos")  # type: ignore[arg-type]
    for _ in upload_all(files(), photos, {}):
        finished += 1

    assert finished == 20
    # Two photos that are being uploaded, the one just read, and one that has ended and was not counted yet.
    assert max(waiting) <= 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("photo.jpg", photo(), "neither a folder nor a .zip, .tar, .tar.gz or Parquet file"),
        ("empty", b"", "neither a folder"),
        ("photos.tar.xz", b"\xfd7zXZ\0", "neither a folder"),
    ],
    ids=["photo", "empty file", "other archive"],
)
def test_a_file_that_is_no_archive_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=re.escape(message)):
        open_photos(tmp_path / name)
    with pytest.raises(CommandError, match="no such folder or file"):
        open_photos(tmp_path / "none")
