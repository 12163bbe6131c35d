"""``distill upload FOLDER COLLECTION``: upload new and changed photos, own labels and vocabulary."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from cli.console import CommandError, NotReachable, is_terminal, print_json, print_line, print_to_stderr
from cli.own_labels import check_own_labels_in, local_collection, own_files_in
from cli.requests import collection_prefix, resolve_request
from cli.stage import Stage
from distillation.answers.own_labels import OWN_LABELS_FILES
from distillation.errors import DistillationError
from distillation.photos.files import replaced_raw_files, skip_kind, skipped_text
from distillation.photos.inventory import REPLACED_RAW
from distillation.photos.resizer import MAXIMUM_BYTES, PhotoRefused, check_file_size, resized_size
from distillation.storage import Bucket

CONCURRENCY = 16
"""Number of parallel uploads."""
_SIDE = 900
"""Side in pixels at which a photo that replaces a RAW file has to be usable."""
_MAXIMUM_PROBLEMS_SHOWN = 3


@dataclass(frozen=True)
class UploadResult:
    """Result of uploading one file."""

    key: str
    """S3 key of the file."""
    bytes: int
    """Uploaded bytes; 0 if the upload failed."""
    problem: str | None = None
    """Error message if the upload failed."""


def upload_photos(folder: Path, collection: str, stage: Stage, *, as_json: bool) -> None:
    """Upload a folder with its subfolders and print a summary. Raises ``CommandError`` or ``NotReachable``.

    After an interrupt or a failure the same command continues: an object in S3 is either complete or absent.
    """
    prefix = collection_prefix(collection)
    found = _without_large_photos(photos_in(folder))
    own_files = own_files_in(folder)
    if own_files:
        # The limits of the run's request are not known yet, so own labels are checked as gold labels are.
        gold = {"own_labels": "gold"}
        run = resolve_request(prefix, gold, stage.name, stage.region, local_collection(prefix, folder))
        if own_files.keys() & set(OWN_LABELS_FILES):
            check_own_labels_in(folder, run, found.photos)
    files = found.photos | own_files
    to_upload = files_to_upload(files, prefix, stage.photos)
    started = time.monotonic()
    results = list(_with_progress_bar(upload_files(to_upload, stage.photos), to_upload, quiet=as_json))
    failed = [result for result in results if result.problem]
    seconds = time.monotonic() - started
    summary = {
        "bucket": stage.photos.name,
        "collection": prefix,
        "uploaded": len(results) - len(failed),
        "unchanged": len(files) - len(to_upload),
        "skipped": dict(Counter(found.skipped)),
        "bytes": sum(result.bytes for result in results if not result.problem),
        "seconds": round(seconds, 1),
        "failed": [{"key": result.key, "problem": result.problem} for result in failed],
    }
    if as_json:
        print_json(summary)
    else:
        print_line(
            f"{summary['uploaded']} uploaded to s3://{summary['bucket']}/{prefix} ({summary['bytes'] / 1e6:,.1f} MB in "
            f"{seconds:.1f} s), {summary['unchanged']} unchanged"
        )
        if found.skipped:
            print_line(f"{len(found.skipped)} other files skipped: {skipped_text(Counter(found.skipped))}")
    if failed:
        first = "; ".join(f"{result.key}: {result.problem}" for result in failed[:_MAXIMUM_PROBLEMS_SHOWN])
        raise NotReachable(
            f"{len(failed)} of {len(to_upload)} files could not be uploaded: {first}. "
            "Run the command again to upload the rest."
        )


@dataclass(frozen=True)
class FolderContent:
    """Files of a folder with its subfolders."""

    photos: dict[str, Path]
    """Photos, keyed by path below the folder."""
    skipped: list[str]
    """Kind of each other file."""


def photos_in(folder: Path) -> FolderContent:
    """Return the content of a folder with its subfolders. Raises ``CommandError`` if it has no photo.

    A RAW file with a JPEG or HEIC of the same name is skipped, unless the header of that file shows that it cannot be
    used. The run checks the content of each photo.
    """
    if not folder.is_dir():
        raise CommandError(f"{folder} is not a folder. Name a folder of photos.")
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    kinds = {name: skip_kind(name) for name in files}
    photos = {name: path for name, path in files.items() if kinds[name] is None}
    for name in replaced_raw_files(photos, lambda name: _is_usable(photos[name])):
        kinds[name] = REPLACED_RAW
        del photos[name]
    skipped = [kind for kind in kinds.values() if kind]
    if not photos:
        others = f" (skipped: {skipped_text(Counter(skipped))})" if skipped else ""
        raise CommandError(f"{folder} contains no photos{others}. Name another folder.")
    return FolderContent(photos, skipped)


def _is_usable(photo: Path) -> bool:
    try:
        check_file_size(photo.stat().st_size)
        with photo.open("rb") as file:
            resized_size(file, _SIDE, photo.name)
    except PhotoRefused:
        return False
    return True


def _without_large_photos(found: FolderContent) -> FolderContent:
    """Return the content without photos that a run would refuse because of their size."""
    large = {name for name, path in found.photos.items() if path.stat().st_size > MAXIMUM_BYTES}
    photos = {name: path for name, path in found.photos.items() if name not in large}
    return FolderContent(photos, [*found.skipped, *[f"photo of more than {MAXIMUM_BYTES // 2**20} MiB"] * len(large)])


def files_to_upload(files: Mapping[str, Path], prefix: str, photos: Bucket) -> dict[str, Path]:
    """Return the files that are not in the bucket with the same bytes, keyed by S3 key."""
    uploaded = {item["Key"]: (item["Size"], item["ETag"].strip('"')) for item in photos.list(prefix)}

    def differs(entry: tuple[str, Path]) -> bool:
        key, path = entry
        size, etag = uploaded.get(key, (-1, ""))
        # Compare sizes first, which avoids reading most files. The ETag of an object from a single PUT is its MD5,
        # except in a bucket with a KMS key. There the checksum that boto3 sent with the object is compared.
        return size != path.stat().st_size or (etag != _md5(path) and not _has_checksum(key, path, photos))

    entries = [(prefix + name, path) for name, path in files.items()]
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        return {key: path for (key, path), new in zip(entries, pool.map(differs, entries), strict=True) if new}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _has_checksum(key: str, path: Path, photos: Bucket) -> bool:
    """Return whether an object has the CRC32 of a file; False if it has none or the caller may not read it."""
    try:
        head = photos.client.head_object(Bucket=photos.name, Key=key, ChecksumMode="ENABLED")
    except ClientError:
        return False
    crc32 = zlib.crc32(path.read_bytes()).to_bytes(4, "big")
    return head.get("ChecksumCRC32") == base64.b64encode(crc32).decode()


def upload_files(files: Mapping[str, Path], photos: Bucket) -> Iterator[UploadResult]:
    """Upload files, keyed by S3 key, in parallel. Yield each result when its upload ends."""
    queue = iter(files.items())
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        # Submit only as many files as there are threads, so that an interrupt takes effect quickly.
        running: set[Future[UploadResult]] = {
            pool.submit(_upload_file, key, path, photos) for key, path in islice(queue, CONCURRENCY)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_upload_file, key, path, photos) for key, path in islice(queue, len(done))}
            for future in done:
                yield future.result()


def _upload_file(key: str, path: Path, photos: Bucket) -> UploadResult:
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    try:
        with path.open("rb") as file:
            photos.write(key, file, content_type)
    except UnicodeEncodeError:
        return UploadResult(key, 0, "its name is not UTF-8, which S3 requires. Rename it.")
    except (OSError, Boto3Error, BotoCoreError, DistillationError) as error:
        return UploadResult(key, 0, str(error))
    return UploadResult(key, path.stat().st_size)


def _with_progress_bar(
    results: Iterator[UploadResult], files: Mapping[str, Path], quiet: bool
) -> Iterator[UploadResult]:
    """Yield the results and show a progress bar with speed and remaining time on a terminal."""
    if quiet or not files or not is_terminal():
        yield from results
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=sum(path.stat().st_size for path in files.values()))
        for number, result in enumerate(results, 1):
            progress.update(task, description=f"{number}/{len(files)} photos", advance=files[result.key].stat().st_size)
            if result.problem:
                print_to_stderr(f"{result.key}: {result.problem}")
            yield result
