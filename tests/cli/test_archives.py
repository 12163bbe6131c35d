"""Hostile and damaged archives: none is unpacked, and none is read past its limits."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import archives
from cli.archives import tar_photos, zip_photos
from cli.console import CommandError
from cli.photo_files import Damaged, PhotoFiles
from cli.upload import open_photos

MIB = 1 << 20


def zip_file(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content, method)
    return path


def tar_file(path: Path, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def archive(path: Path, *names: str) -> Path:
    """Write an archive, whose kind is that of the suffix, with photos of these names."""
    write: Callable[..., Path] = zip_file if path.suffix == ".zip" else tar_file
    return write(path, *((name, f"photo {number}".encode()) for number, name in enumerate(names)))


def content(files: PhotoFiles) -> dict[str, object]:
    return dict(files.read(files.photos))


KINDS = ["a.zip", "a.tar", "a.tar.gz"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["../a.jpg", "x/../../a.jpg", "x/..", "/etc/a.jpg", "C:/a.jpg"], ids=["up", "inner", "end", "root", "drive"]
)
def test_a_path_outside_the_archive_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="a path outside the archive"):
        open_photos(archive(tmp_path / kind, "1.jpg", name))


def test_a_backslash_of_a_zip_file_is_a_separator(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="a path outside the archive"):
        zip_photos(archive(tmp_path / "a.zip", "..\\a.jpg"))
    assert list(zip_photos(archive(tmp_path / "b.zip", "day 1\\a.jpg")).photos) == ["day 1/a.jpg"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(kind: str, tmp_path: Path) -> None:
    for names in (("1.jpg", "1.jpg"), ("1.jpg", "./1.jpg")):
        with pytest.raises(CommandError, match=r"contains '1\.jpg' twice"):
            open_photos(archive(tmp_path / kind, *names))


@pytest.mark.parametrize("kind", KINDS)
def test_names_with_a_dot_in_front_are_those_of_the_folder(kind: str, tmp_path: Path) -> None:
    files = open_photos(archive(tmp_path / kind, "./x/1.jpg", "2.jpg"))

    assert content(files) == {"x/1.jpg": b"photo 0", "2.jpg": b"photo 1"}


def test_links_and_devices_are_skipped(tmp_path: Path) -> None:
    links = []
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        member = tarfile.TarInfo(f"{kind[0]}.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        links.append((member, b""))
    files = tar_photos(tar_file(tmp_path / "a.tar", ("1.jpg", b"x"), *links))
    assert (list(files.photos), files.skipped) == (["1.jpg"], ["link or special file"] * 4)

    link = zipfile.ZipInfo("link.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    files = zip_photos(zip_file(tmp_path / "a.zip", ("1.jpg", b"x"), (link, b"/etc/passwd")))
    assert (list(files.photos), files.skipped) == (["1.jpg"], ["link or special file"])


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_an_archive_that_grows_too_much_is_refused_in_little_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MINIMUM_LIMIT_BYTES", 8 * MIB)
    write: Callable[..., Path] = zip_file if kind == "a.zip" else tar_file
    path = write(tmp_path / kind, *((f"{number}.jpg", bytes(16 * MIB)) for number in range(3)))
    assert path.stat().st_size < MIB
    tracemalloc.start()
    try:
        with pytest.raises(CommandError, match="would grow from"):
            open_photos(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_overlapping_members_of_a_zip_file_are_refused(tmp_path: Path) -> None:
    path = zip_file(tmp_path / "a.zip", ("1.jpg", bytes(1000)), ("2.jpg", bytes(1000)), method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 10)  # Offset of its local header: inside the first member.
    path.write_bytes(data)
    with pytest.raises(CommandError, match="overlap"):
        zip_photos(path)


def test_encrypted_photo_is_refused_but_not_another_encrypted_file(tmp_path: Path) -> None:
    path = zip_file(tmp_path / "a.zip", ("1.jpg", b"x"), ("film.mp4", b"x"))
    data = bytearray(path.read_bytes())
    film, photo = data.rindex(b"PK\x01\x02"), data.index(b"PK\x01\x02")
    data[film + 8] |= 1
    path.write_bytes(data)
    assert list(zip_photos(path).photos) == ["1.jpg"]
    data[photo + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(CommandError, match=r"1\.jpg is encrypted. Unpack"):
        zip_photos(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_compression_whose_output_has_no_limit_is_refused(method: int, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not with deflate"):
        zip_photos(zip_file(tmp_path / "a.zip", ("1.jpg", b"x"), method=method))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_archive_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    path = archive(tmp_path / kind, *(f"{number}.jpg" for number in range(40)))
    data = path.read_bytes()
    end = data.rindex(b"photo 39") + 512 if kind == "a.tar" else len(data)  # The rest of a tar file is zeros.
    path.write_bytes(data[: round(end * share) // 512 * 512 if kind == "a.tar" else round(end * share)])
    with pytest.raises(CommandError, match="damaged or incomplete"):
        open_photos(path)


def test_a_damaged_header_in_a_tar_file_is_not_taken_for_its_end(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", "1.jpg", "2.jpg")
    data = bytearray(path.read_bytes())
    data[1024:1034] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(CommandError, match="damaged or incomplete"):
        tar_photos(path)


def test_a_wrong_checksum_of_a_tar_gz_file_is_found(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", "1.jpg")
    data = bytearray(path.read_bytes())
    data[-8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CommandError, match="damaged or incomplete"):
        tar_photos(path)


def test_a_damaged_member_of_a_zip_file_does_not_stop_the_others(tmp_path: Path) -> None:
    path = zip_file(tmp_path / "a.zip", ("1.jpg", b"first"), ("2.jpg", b"second"), method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"first", b"fIrst"))
    read = content(zip_photos(path))

    assert isinstance(read["1.jpg"], Damaged)
    assert read["2.jpg"] == b"second"


@pytest.mark.parametrize("declared", [3, 300], ids=["less", "more"])
def test_a_member_that_has_another_size_than_the_directory_says_is_damaged(declared: int, tmp_path: Path) -> None:
    path = zip_file(tmp_path / "a.zip", ("1.jpg", bytes(100)))
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", declared)
    path.write_bytes(data)

    assert isinstance(content(zip_photos(path))["1.jpg"], Damaged)


def test_a_huge_photo_is_skipped_and_its_neighbours_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.photo_files.MAXIMUM_BYTES", MIB)
    for write, name in ((zip_file, "a.zip"), (tar_file, "a.tar")):
        files = open_photos(write(tmp_path / name, ("1.jpg", b"x"), ("2.jpg", bytes(2 * MIB)), ("3.mp4", bytes(5))))
        assert content(files) == {"1.jpg": b"x"}
        assert files.skipped == ["photo of more than 1 MiB", "video"]


@pytest.mark.parametrize(
    ("stored", "name"),
    [("é.jpg".encode(), "é.jpg"), (b"\x82.jpg", "é.jpg"), ("写真.jpg".encode(), "写真.jpg")],
    ids=["UTF-8 without its flag", "CP437", "Japanese"],
)
def test_names_of_a_zip_file_without_the_utf_8_flag_are_read_as_utf_8_or_cp437(
    stored: bytes, name: str, tmp_path: Path
) -> None:
    path = zip_file(tmp_path / "a.zip", ("x" * len(stored), b"x"))
    path.write_bytes(path.read_bytes().replace(b"x" * len(stored), stored))

    assert list(zip_photos(path).photos) == [name]


def test_a_name_of_a_tar_file_that_is_not_utf_8_is_kept_for_the_error_of_its_upload(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", "aaa.jpg", "2.jpg")
    data = path.read_bytes()
    header = bytearray(data[:512])
    header[0:3] = b"\xff\xfe\xfd"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + data[512:])

    assert list(tar_photos(path).photos) == ["\udcff\udcfe\udcfd.jpg", "2.jpg"]


def hostile_header(**fields: bytes) -> bytes:
    """Return the header of a tar file with fields replaced, whose checksum is right."""
    member = tarfile.TarInfo("a.jpg")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT)[:512])
    places = {"size": (124, 12), "type": (156, 1)}
    for name, value in fields.items():
        start, length = places[name]
        header[start : start + length] = value.ljust(length, b"\0")
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "data",
    [
        hostile_header(size=b"\xff" * 12) * 3 + bytes(1024),
        hostile_header(size=b"77777777777") + bytes(1024),
        hostile_header(size=b"\x80" + b"\x7f" * 11) + bytes(1024),
        hostile_header(type=b"x", size=b"07777777777") + bytes(1024),
        hostile_header(type=b"L", size=b"07777777777") + bytes(1024),
        hostile_header(type=b"x", size=b"00000000000") * 3000 + bytes(1024),
    ],
    ids=["negative", "8 GiB", "huge", "pax header of 1 GiB", "name of 1 GiB", "nested pax headers"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["tar", "tar.gz"])
def test_hostile_header_of_a_tar_file_is_refused_in_little_memory(data: bytes, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(gzip.compress(data) if packed else data)
    tracemalloc.start()
    try:
        with pytest.raises(CommandError, match=r"damaged or incomplete|would grow from|no photos"):
            open_photos(path)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAXIMUM_MEMBERS", 2)
    for kind in KINDS:
        with pytest.raises(CommandError, match="more than 2 members"):
            open_photos(archive(tmp_path / kind, "1.jpg", "2.jpg", "3.jpg"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_without_photos_is_an_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"contains no photos \(skipped: 1 video\)"):
        open_photos(archive(tmp_path / kind, "film.mp4"))
