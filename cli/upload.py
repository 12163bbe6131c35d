"""``distill upload SOURCE COLLECTION``: upload new and changed photos, own labels and vocabulary.

SOURCE is a folder, an archive or a Parquet file. Photos of an archive are read one after another; at most
``MAXIMUM_WAITING_BYTES`` of them are in memory.
"""

from __future__ import annotations

import base64
import hashlib
import io
import mimetypes
import os
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Literal

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from cli.archives import tar_photos, zip_photos
from cli.console import CommandError, NotReachable, is_terminal, print_json, print_line, print_to_stderr, quantity
from cli.own_labels import check_own_labels_in, local_collection, own_files_in
from cli.parquet import parquet_photos
from cli.photo_files import Body, Damaged, PhotoFiles, is_usable
from cli.requests import collection_prefix, resolve_request
from cli.stage import Stage
from distillation.answers.own_labels import OWN_LABELS_FILES
from distillation.errors import DistillationError, excerpt
from distillation.photos.files import (
    UPLOAD_MARK,
    is_owner_file,
    replaced_raw_files,
    skip_kind,
    skipped_line,
    skipped_text,
)
from distillation.photos.inventory import REPLACED_RAW
from distillation.photos.resizer import MAXIMUM_BYTES, PhotoRefused, resize
from distillation.storage import Bucket

CONCURRENCY = 16
"""Number of parallel uploads."""
MAXIMUM_WAITING_BYTES = 256 << 20
"""Largest size, in bytes, of the photos of an archive that wait for their upload."""
SHRUNK_SIDE = 2048
"""Longest side of a shrunk photo in pixels."""
_ENCODER = {"quality": 80, "subsampling": "4:2:0"}
"""Settings of a shrunk photo's JPEG. A run makes it smaller, which averages their loss out (docs/datasets.md)."""
_SHRINKING = BoundedSemaphore(min(4, os.cpu_count() or 1))
"""Limit of the photos that are decoded at the same time, each of which may need 460 MB of memory."""
_MAXIMUM_PROBLEMS_SHOWN = 3
_ARCHIVES = {b"PK": zip_photos, b"PAR1": parquet_photos, b"\x1f\x8b": tar_photos}
"""Function that reads an archive, keyed by its first bytes."""
_TAR_MAGIC, _TAR_MAGIC_OFFSET = b"ustar", 257
_MARK_TEXT = b"The photos of this collection were uploaded with: distill upload --shrink\n"


@dataclass(frozen=True)
class UploadResult:
    """Result of uploading one file."""

    key: str
    """S3 key of the file."""
    bytes: int
    """Uploaded bytes; 0 if the file was not uploaded."""
    outcome: Literal["uploaded", "unchanged", "refused", "failed"]
    """``refused``: the photo cannot be shrunk, so that a run cannot use it either."""
    problem: str | None = None
    """Error message if the file was refused or its upload failed."""


def upload_photos(source: Path, collection: str, stage: Stage, *, shrink: bool = False, as_json: bool) -> None:
    """Upload the photos of a folder, archive or Parquet file and print a summary.

    With ``shrink``, upload JPEGs of at most ``SHRUNK_SIDE`` pixels without metadata. After an interrupt or a failure
    the same command continues: an object in S3 is either complete or absent.
    Raises ``CommandError`` or ``NotReachable``.
    """
    prefix = collection_prefix(collection)
    found = open_photos(source)
    if found.own_files:
        _check_own_files(prefix, found, stage)
    present = {item["Key"]: (item["Size"], item["ETag"].strip('"')) for item in stage.photos.list(prefix)}
    _record_upload_mode(prefix, present, stage.photos, shrink=shrink)
    started = time.monotonic()
    files = ((prefix + name, body) for name, body in _own_files_and_photos(found))
    uploads = upload_all(files, stage.photos, present, shrink=shrink)
    sizes = {prefix + name: size for name, size in found.photos.items()}
    results = list(_with_progress_bar(uploads, sizes, quiet=as_json))
    _print_summary(stage.photos, prefix, found, results, time.monotonic() - started, shrink=shrink, as_json=as_json)
    failed = [result for result in results if result.outcome == "failed"]
    if failed:
        raise NotReachable(
            f"{len(failed)} of {len(results)} files could not be uploaded: {_problems(failed)}. "
            "Run the command again to upload the rest."
        )


@dataclass(frozen=True)
class FolderContent:
    """Files of a folder with its subfolders."""

    photos: dict[str, Path]
    """Photos, keyed by path below the folder."""
    skipped: list[str]
    """Kind of each other file, without own labels and vocabulary."""


def open_photos(source: Path) -> PhotoFiles:
    """Return the photos of a folder, a .zip, .tar or .tar.gz file, or a Parquet file. Raises ``CommandError``.

    The first bytes of a file give its type, not its name.
    """
    source = source.expanduser()
    if source.is_dir():
        return _folder_photos(source)
    if not source.is_file():
        raise CommandError(f"{source}: no such folder or file. Name a folder of photos, or an archive.")
    with source.open("rb") as file:
        start = file.read(_TAR_MAGIC_OFFSET + len(_TAR_MAGIC))
    for magic, read in _ARCHIVES.items():
        if start.startswith(magic):
            return read(source)
    if start[_TAR_MAGIC_OFFSET:] == _TAR_MAGIC:
        return tar_photos(source)
    raise CommandError(
        f"{source} is neither a folder nor a .zip, .tar, .tar.gz or Parquet file. Unpack it and upload the folder."
    )


def _folder_photos(folder: Path) -> PhotoFiles:
    found = _without_large_photos(photos_in(folder))
    sizes = {name: path.stat().st_size for name, path in found.photos.items()}
    return PhotoFiles(sizes, found.skipped, own_files_in(folder), lambda names: _read_named(found.photos, names))


def _read_named(photos: Mapping[str, Path], names: Iterable[str]) -> Iterator[tuple[str, Body]]:
    for name in names:
        yield name, photos[name]


def photos_in(folder: Path) -> FolderContent:
    """Return the content of a folder with its subfolders. Raises ``CommandError`` if it has no photo.

    A RAW file is skipped if a JPEG or HEIC of the same name has a usable header. The run checks the content of each
    photo.
    """
    if not folder.is_dir():
        raise CommandError(f"{folder} is not a folder. Name a folder of photos.")
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    kinds = {name: skip_kind(name) for name in files}
    photos = {name: path for name, path in files.items() if kinds[name] is None}
    for name in replaced_raw_files(photos, lambda name: is_usable(name, photos[name])):
        kinds[name] = REPLACED_RAW
        del photos[name]
    skipped = [kind for name, kind in kinds.items() if kind and not is_owner_file(name)]
    if not photos:
        others = f" (skipped: {skipped_text(Counter(skipped))})" if skipped else ""
        raise CommandError(f"{folder} contains no photos{others}. Name another folder.")
    return FolderContent(photos, skipped)


def _without_large_photos(found: FolderContent) -> FolderContent:
    """Return the content without photos that a run would refuse because of their size."""
    large = {name for name, path in found.photos.items() if path.stat().st_size > MAXIMUM_BYTES}
    photos = {name: path for name, path in found.photos.items() if name not in large}
    return FolderContent(photos, [*found.skipped, *[f"photo of more than {MAXIMUM_BYTES // 2**20} MiB"] * len(large)])


def _check_own_files(prefix: str, found: PhotoFiles, stage: Stage) -> None:
    """Check own labels and vocabulary as a run will, before anything is uploaded. Raises ``InvalidRequest``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in found.own_files.items():
            (folder / file).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        # The limits of the run's request are not known yet, so own labels are checked as gold labels are.
        gold = {"own_labels": "gold"}
        run = resolve_request(prefix, gold, stage.name, stage.region, local_collection(prefix, folder))
        if found.own_files.keys() & set(OWN_LABELS_FILES):
            check_own_labels_in(folder, run, found.photos)


def _own_files_and_photos(found: PhotoFiles) -> Iterator[tuple[str, Body]]:
    yield from found.own_files.items()
    yield from found.read(found.photos)


def _record_upload_mode(prefix: str, present: Mapping[str, tuple[int, str]], photos: Bucket, *, shrink: bool) -> None:
    """Record whether a collection is uploaded with --shrink, and warn if its photos were uploaded the other way.

    The object ``UPLOAD_MARK`` has a text if the last upload was with --shrink; it is empty or absent if not. Its size
    in the listing is enough, because uploaders may list a collection but not read it.
    """
    mark = prefix + UPLOAD_MARK
    was_shrunk = present.get(mark, (0, ""))[0] > 0
    has_photos = any(skip_kind(key) is None for key in present)
    if has_photos and was_shrunk != shrink:
        with_, without = "with --shrink", "without --shrink"
        before, now = (with_, without) if was_shrunk else (without, with_)
        print_to_stderr(
            f"Warning: {prefix} was uploaded {before}, and this upload is {now}. Both give other images of a photo, "
            "so photos that are uploaded again are labelled and paid for again, and a photo under two names can be in "
            "training and test. Upload a collection one way: press Ctrl-C, then repeat the command "
            f"{before}, or name another collection."
        )
    if shrink != was_shrunk:
        photos.write(mark, _MARK_TEXT if shrink else b"", "text/plain")


def upload_files(files: Mapping[str, Path], photos: Bucket) -> Iterator[UploadResult]:
    """Upload files, keyed by S3 key, in parallel. Yield each result when its upload ends."""
    return upload_all(files.items(), photos, {})


def upload_all(
    files: Iterable[tuple[str, Body]],
    photos: Bucket,
    present: Mapping[str, tuple[int, str]],
    *,
    shrink: bool = False,
) -> Iterator[UploadResult]:
    """Upload files with their S3 keys in parallel, except those that are in the bucket with the same bytes.

    ``present`` are size and ETag of the objects in the bucket, keyed by S3 key. Only as many files are read ahead as
    there are threads, and at most ``MAXIMUM_WAITING_BYTES`` of them, so that an interrupt takes effect quickly.
    """
    running: dict[Future[UploadResult], int] = {}
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        for key, body in files:
            size = len(body) if isinstance(body, bytes) else 0
            while running and (len(running) >= CONCURRENCY or sum(running.values()) + size > MAXIMUM_WAITING_BYTES):
                yield from _ended(running)
            running[pool.submit(_upload, key, body, photos, present, shrink)] = size
        while running:
            yield from _ended(running)


def _ended(running: dict[Future[UploadResult], int]) -> Iterator[UploadResult]:
    """Wait until an upload has ended; remove and yield those that have."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        del running[future]
        yield future.result()


def _upload(key: str, body: Body, photos: Bucket, present: Mapping[str, tuple[int, str]], shrink: bool) -> UploadResult:
    if isinstance(body, Damaged):
        return UploadResult(key, 0, "failed", body.reason)
    content_type = mimetypes.guess_type(key)[0] or "application/octet-stream"
    try:
        if shrink and skip_kind(key) is None:
            body, content_type = shrink_photo(body, key), "image/jpeg"
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        if _is_present(key, body, size, photos, present):
            return UploadResult(key, 0, "unchanged")
        with io.BytesIO(body) if isinstance(body, bytes) else body.open("rb") as file:
            photos.write(key, file, content_type)
    except PhotoRefused as error:
        return UploadResult(key, 0, "refused", str(error))
    except UnicodeEncodeError:
        return UploadResult(key, 0, "failed", "its name is not UTF-8, which S3 requires. Rename it.")
    except (OSError, Boto3Error, BotoCoreError, DistillationError) as error:
        return UploadResult(key, 0, "failed", str(error))
    return UploadResult(key, size, "uploaded")


def shrink_photo(photo: Path | bytes, name: str) -> bytes:
    """Return a photo as a JPEG of at most ``SHRUNK_SIDE`` pixels without metadata, decoded as a run decodes it.

    Raises ``PhotoRefused`` if a run could not use the photo.
    """
    with _SHRINKING:
        content = photo if isinstance(photo, bytes) else photo.read_bytes()
        pixels, output = resize(content, SHRUNK_SIDE, name).pixels, io.BytesIO()
        pixels.save(output, "JPEG", **_ENCODER)
    return output.getvalue()


def _is_present(
    key: str, body: Path | bytes, size: int, photos: Bucket, present: Mapping[str, tuple[int, str]]
) -> bool:
    """Return whether the bucket has an object with the same bytes.

    Sizes are compared first, which avoids reading most files. The ETag of an object from a single PUT is its MD5,
    except in a bucket with a KMS key. There the checksum that boto3 sent with the object is compared.
    """
    present_size, etag = present.get(key, (-1, ""))
    if present_size != size:
        return False
    return etag == _md5(body) or _has_checksum(key, body, photos)


def _md5(body: Path | bytes) -> str:
    if isinstance(body, bytes):
        return hashlib.md5(body, usedforsecurity=False).hexdigest()
    with body.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _has_checksum(key: str, body: Path | bytes, photos: Bucket) -> bool:
    """Return whether an object has the CRC32 of a file; False if it has none or the caller may not read it."""
    try:
        head = photos.client.head_object(Bucket=photos.name, Key=key, ChecksumMode="ENABLED")
    except ClientError:
        return False
    content = body if isinstance(body, bytes) else body.read_bytes()
    return head.get("ChecksumCRC32") == base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def _print_summary(
    photos: Bucket,
    prefix: str,
    found: PhotoFiles,
    results: list[UploadResult],
    seconds: float,
    *,
    shrink: bool,
    as_json: bool,
) -> None:
    by_outcome: dict[str, list[UploadResult]] = {name: [] for name in ("uploaded", "unchanged", "refused", "failed")}
    for result in results:
        by_outcome[result.outcome].append(result)
    summary: dict[str, Any] = {
        "bucket": photos.name,
        "collection": prefix,
        "shrunk": shrink,
        "uploaded": len(by_outcome["uploaded"]),
        "unchanged": len(by_outcome["unchanged"]),
        "skipped": dict(Counter(found.skipped)),
        "bytes": sum(result.bytes for result in results),
        "bytes_read": sum(found.photos.values()),
        "seconds": round(seconds, 1),
        **{
            outcome: [{"key": result.key, "problem": result.problem} for result in by_outcome[outcome]]
            for outcome in ("refused", "failed")
        },
    }
    if as_json:
        print_json(summary)
        return
    shrunk = f", shrunk from {summary['bytes_read'] / 1e6:,.1f} MB" if shrink and not by_outcome["unchanged"] else ""
    print_line(
        f"{summary['uploaded']} uploaded to s3://{summary['bucket']}/{prefix} ({summary['bytes'] / 1e6:,.1f} MB in "
        f"{seconds:.1f} s{shrunk}), {summary['unchanged']} unchanged"
    )
    if found.skipped:
        print_line(skipped_line(Counter(found.skipped)))
    if refused := by_outcome["refused"]:
        print_to_stderr(f"Skipped {quantity(len(refused), 'photo')} that cannot be used: {_problems(refused)}.")


def _problems(results: list[UploadResult]) -> str:
    """Return what is wrong with the first files, without the final full stop."""
    shown = [f"{excerpt(result.key)}: {(result.problem or '').rstrip('.')}" for result in results]
    others = len(results) - _MAXIMUM_PROBLEMS_SHOWN
    return "; ".join([*shown[:_MAXIMUM_PROBLEMS_SHOWN], *[f"and {others} more"] * (others > 0)])


def _with_progress_bar(
    results: Iterator[UploadResult], sizes: Mapping[str, int], quiet: bool
) -> Iterator[UploadResult]:
    """Yield the results and show a progress bar with speed and remaining time on a terminal.

    ``sizes`` are those of the photos in bytes, keyed by S3 key.
    """
    if quiet or not sizes or not is_terminal():
        yield from results
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=sum(sizes.values()))
        for number, result in enumerate(results, 1):
            progress.update(task, description=f"{number}/{len(sizes)} photos", advance=sizes.get(result.key, 0))
            if result.problem:
                print_to_stderr(f"{result.key}: {result.problem}")
            yield result
