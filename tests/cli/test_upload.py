from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.console import Refused
from cli.upload import missing, own_labels_in, photos_in, send
from distillation.storage import Bucket
from tests.support.fakes import MemoryS3


class HashedS3(MemoryS3):
    """A bucket whose ETags are MD5 sums, as those of single PUTs are; keys ending in ``bad`` are refused."""

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803 - boto3's name
        found = {key: body for key, body in self.objects.items() if key.startswith(Prefix)}
        tags = {key: hashlib.md5(body, usedforsecurity=False).hexdigest() for key, body in found.items()}
        return [{"Contents": [{"Key": key, "Size": len(found[key]), "ETag": f'"{tag}"'} for key, tag in tags.items()]}]

    def put_object(self, *, Key: str, **more: Any) -> None:  # noqa: N803
        if Key.endswith("bad"):
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "later"}}, "PutObject")
        super().put_object(Key=Key, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(40):
        path = tmp_path / f"day {number % 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * 100)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    return tmp_path


def test_every_photo_is_sent_once_and_only_what_changed_again(folder: Path) -> None:
    objects = Bucket(HashedS3(), "photos")  # type: ignore[arg-type] - only what is asked of it
    files = photos_in(folder)
    sent = list(send(missing(files, "a/", objects), objects))
    (folder / "day 1/1.jpg").write_bytes(b"!" * 100)
    (folder / "day 1/3.jpg").write_bytes(b"longer" * 100)

    assert sorted(one.key for one in sent) == sorted(f"a/{name}" for name in files)
    assert len(sent) == 40
    assert set(missing(files, "a/", objects)) == {"a/day 1/1.jpg", "a/day 1/3.jpg"}


def test_file_that_cannot_be_sent_stops_no_other(folder: Path) -> None:
    (folder / "bad").write_bytes(b"x")
    objects = Bucket(HashedS3(), "photos")  # type: ignore[arg-type]
    sent = list(send(missing(photos_in(folder), "a/", objects), objects))

    assert [one.key for one in sent if one.problem] == ["a/bad"]
    assert set(missing(photos_in(folder), "a/", objects)) == {"a/bad"}


def test_labels_of_ones_own_go_with_the_photos(folder: Path) -> None:
    (folder / "labels.csv").write_text("photo,label", "utf-8")
    (folder / "day 1/labels.csv").write_text("only beside distill.json is it read", "utf-8")

    assert list(own_labels_in(folder)) == ["labels.csv"]
    assert "labels.csv" not in photos_in(folder)


def test_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds no photo"):
        photos_in(tmp_path)
    with pytest.raises(Refused, match="is not a folder"):
        photos_in(tmp_path / "none")
