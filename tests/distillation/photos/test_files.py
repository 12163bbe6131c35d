from __future__ import annotations

import pytest

from distillation.photos.files import is_owner_file, is_raw, replaced_raw_files, skip_kind, skipped_line, skipped_text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("IMG_0001.MOV", "video"),
        ("clip.mp4", "video"),
        ("GX010001.LRV", "video"),
        ("IMG_0001.AAE", "side file"),
        ("IMG_0001.xmp", "side file"),
        ("IMG_0001.CR2.xmp", "side file"),
        ("notes.txt", "text"),
        ("index.html", "text"),
        ("photos.zip", "archive"),
        ("train-00000.parquet", "archive"),
        ("photos.tar.bz2", "archive"),
        ("memo.m4a", "audio"),
        ("Thumbs.db", "system file"),
        ("Icon\r", "system file"),
        ("desktop.ini", "system file"),
        (".DS_Store", "hidden file"),
        ("._IMG_0001.jpg", "hidden file"),
        (".thumbnails/a.jpg", "hidden file"),
        ("__MACOSX/a.jpg", "hidden file"),
        ("@eaDir/a.jpg/SYNOFILE_THUMB_M.jpg", "hidden file"),
        ("$RECYCLE.BIN/a.jpg", "hidden file"),
        ("DJI_0001.LRF", "video"),
        ("DJI_0001.SRT", "text"),
        ("PXL_0001.MP", "video"),
        ("track.gpx", "text"),
        ("distill.json", "distill file"),
        ("labels.csv", "distill file"),
        ("vocabulary.csv", "distill file"),
        ("trip/", "folder"),
    ],
)
def test_file_that_is_no_photo_is_skipped(name: str, kind: str) -> None:
    assert skip_kind(f"holiday/{name}") == kind


@pytest.mark.parametrize("name", ["a.jpg", "A.HEIC", "b.nef", "c.tif", "photo", "picture.1", "icon.png", "é.webp"])
def test_file_that_may_be_a_photo_is_not_skipped(name: str) -> None:
    assert skip_kind(f"holiday/{name}") is None


def test_raw_file_is_replaced_by_a_usable_jpeg_or_heic_of_the_same_name_in_the_same_folder() -> None:
    keys = [
        "a/1.NEF",
        "a/1.jpg",
        "a/2.dng",
        "a/2.HEIC",
        "a/3.CR2",
        "b/3.jpg",
        "a/4.arw",
        "a/4.png",
        "a/5.nef",
        "a/5.NEF.jpg",
    ]
    assert replaced_raw_files(keys, lambda _: True) == {"a/1.NEF", "a/2.dng", "a/5.nef"}
    assert replaced_raw_files(keys, lambda key: key != "a/1.jpg") == {"a/2.dng", "a/5.nef"}


def test_names_of_raw_files_of_every_large_maker_are_known() -> None:
    assert all(is_raw(f"a.{suffix}") for suffix in ("DNG", "NEF", "CR2", "CR3", "ARW", "ORF", "RW2", "RAF", "PEF"))
    assert not is_raw("a.tif")


def test_skipped_files_are_counted_by_kind() -> None:
    assert skipped_text({"text": 1, "video": 2}) == "2 video, 1 text"
    assert skipped_line({"text": 1, "video": 2}) == "3 other files skipped: 2 video, 1 text"
    assert skipped_line({"text": 1}) == "1 other file skipped: 1 text"


def test_own_labels_and_vocabulary_are_read_by_name_only_beside_the_photos() -> None:
    names = ("Labels.CSV", "labels.jsonl", "vocabulary.csv", "sub/labels.csv", "distill.json", "a.jpg")

    assert [is_owner_file(name) for name in names] == [True, True, True, False, False, False]
