from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from cli.console import CommandError
from cli.own_labels import own_files_in
from cli.upload import _without_large_photos, files_to_upload, photos_in, upload_files, upload_photos
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


def test_every_photo_is_uploaded_once_and_again_only_when_it_changes(folder: Path) -> None:
    objects = Bucket(HashedS3(), "photos")  # type: ignore[arg-type] - has the used methods
    files = photos_in(folder).photos
    results = list(upload_files(files_to_upload(files, "a/", objects), objects))
    (folder / "day 1/1.jpg").write_bytes(b"!" * 100)
    (folder / "day 1/3.jpg").write_bytes(b"longer" * 100)

    assert sorted(result.key for result in results) == sorted(f"a/{name}" for name in files)
    assert len(results) == 40
    assert set(files_to_upload(files, "a/", objects)) == {"a/day 1/1.jpg", "a/day 1/3.jpg"}


def test_photo_in_a_bucket_with_a_kms_key_is_uploaded_again_only_when_it_changes(folder: Path) -> None:
    s3 = EncryptedS3()
    objects = Bucket(s3, "photos")  # type: ignore[arg-type]
    files = photos_in(folder).photos
    list(upload_files(files_to_upload(files, "a/", objects), objects))
    (folder / "day 1/1.jpg").write_bytes(b"!" * 100)

    assert set(files_to_upload(files, "a/", objects)) == {"a/day 1/1.jpg"}
    s3.readable = False
    assert len(files_to_upload(files, "a/", objects)) == 40


def test_failed_upload_does_not_stop_the_others(folder: Path) -> None:
    (folder / "bad").write_bytes(b"x")
    objects = Bucket(HashedS3(), "photos")  # type: ignore[arg-type]
    results = list(upload_files(files_to_upload(photos_in(folder).photos, "a/", objects), objects))

    assert [result.key for result in results if result.problem] == ["a/bad"]
    assert set(files_to_upload(photos_in(folder).photos, "a/", objects)) == {"a/bad"}


@pytest.mark.parametrize("name", ["labels.csv", "Labels.CSV"])
def test_own_labels_are_uploaded_with_the_photos(folder: Path, name: str) -> None:
    (folder / name).write_text("photo,label", "utf-8")
    (folder / "day 1/labels.csv").write_text("not read here, only beside distill.json", "utf-8")

    assert own_files_in(folder) == {"labels.csv": folder / name}
    assert name not in photos_in(folder).photos


def test_own_labels_are_checked_before_the_upload(folder: Path) -> None:
    objects = HashedS3()
    stage = SimpleNamespace(name="dev", region="us-east-1", photos=Bucket(objects, "photos"))  # type: ignore[arg-type]
    (folder / "labels.csv").write_text("photo,label\nday 1/none.jpg,cat\n", "utf-8")
    with pytest.raises(InvalidRequest, match=r"labels\.csv line 2 names 'day 1/none\.jpg', which is not a photo"):
        upload_photos(folder, "a", stage, as_json=True)  # type: ignore[arg-type]
    assert not objects.objects


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", "photo;label\nday 1/1.jpg;cat\n"),
        ("labels.csv", "photo,subject,people\nday 1/1.jpg,,2\n"),
        ("labels.csv", "photo,caption\nday 1/1.jpg,A cat sleeps on an old red sofa beside a window.\n"),
        ("labels.jsonl", '{"photo": "day 1/1.jpg", "label": {"subject": "cat"}}'),
    ],
    ids=["label", "fields", "caption", "object"],
)
def test_own_labels_in_any_answer_format_are_uploaded(folder: Path, name: str, body: str) -> None:
    objects = HashedS3()
    stage = SimpleNamespace(name="dev", region="us-east-1", photos=Bucket(objects, "photos"))  # type: ignore[arg-type]
    (folder / name).write_text(body, "utf-8")
    upload_photos(folder, "a", stage, as_json=True)  # type: ignore[arg-type]
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
def test_own_labels_that_no_answer_format_takes_are_not_uploaded(folder: Path, body: str, message: str) -> None:
    objects = HashedS3()
    stage = SimpleNamespace(name="dev", region="us-east-1", photos=Bucket(objects, "photos"))  # type: ignore[arg-type]
    (folder / "labels.csv").write_text(body, "utf-8")
    with pytest.raises(InvalidRequest, match=message):
        upload_photos(folder, "a", stage, as_json=True)  # type: ignore[arg-type]
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
    content = _without_large_photos(photos_in(tmp_path))

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
    stage = SimpleNamespace(name="dev", region="us-east-1", photos=Bucket(objects, "photos"))  # type: ignore[arg-type]
    (folder / "Vocabulary.CSV").write_text("preferred,synonyms\ncat,kitty\n", "utf-8")
    upload_photos(folder, "a", stage, as_json=True)  # type: ignore[arg-type]

    assert objects.objects["a/vocabulary.csv"] == b"preferred,synonyms\ncat,kitty\n"


def test_vocabulary_is_checked_before_the_upload(folder: Path) -> None:
    objects = HashedS3()
    stage = SimpleNamespace(name="dev", region="us-east-1", photos=Bucket(objects, "photos"))  # type: ignore[arg-type]
    (folder / "vocabulary.csv").write_text("preferred,synonyms\ncat,dog\ndog,\n", "utf-8")
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv: line 3: 'dog' stands for 'dog' here and for 'cat'"):
        upload_photos(folder, "a", stage, as_json=True)  # type: ignore[arg-type]
    assert not objects.objects
    (folder / "VOCABULARY.csv").write_text("preferred\ncat\n", "utf-8")
    with pytest.raises(CommandError, match=r"VOCABULARY\.csv and vocabulary\.csv are both in"):
        upload_photos(folder, "a", stage, as_json=True)  # type: ignore[arg-type]
