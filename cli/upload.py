"""``distill upload FOLDER COLLECTION``: bring photos and own labels into the Photos bucket, but not what is there."""

from __future__ import annotations

import hashlib
import mimetypes
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from cli.console import Refused, Unreachable, on_a_terminal, print_json, say, warn
from cli.requests import checked_collection
from cli.stage import Stage
from distillation.photos.files import OWN_LABELS, is_ignored
from distillation.photos.resizer import MAXIMUM_BYTES
from distillation.storage import Bucket

AT_ONCE = 16
_SHOWN = 3


@dataclass(frozen=True)
class Sent:
    """What became of one file: sent, or why it could not be."""

    key: str
    bytes: int
    problem: str | None = None


def upload_photos(folder: Path, collection: str, stage: Stage, as_json: bool) -> None:
    """Upload a folder, any nesting, and say how it went; raises ``Refused`` and ``Unreachable``.

    Interrupted or failed, the same command goes on where it stopped: an object is either whole or not there.
    """
    prefix = checked_collection(collection)
    files = photos_in(folder) | own_labels_in(folder)
    wanted = missing(files, prefix, stage.photos)
    started = time.monotonic()
    sent = list(_shown(send(wanted, stage.photos), wanted, quiet=as_json))
    failed = [one for one in sent if one.problem]
    seconds = time.monotonic() - started
    result = {
        "bucket": stage.photos.name,
        "collection": prefix,
        "uploaded": len(sent) - len(failed),
        "there_already": len(files) - len(wanted),
        "bytes": sum(one.bytes for one in sent if not one.problem),
        "seconds": round(seconds, 1),
        "failed": [{"key": one.key, "problem": one.problem} for one in failed],
    }
    if as_json:
        print_json(result)
    else:
        say(
            f"{result['uploaded']} uploaded to s3://{result['bucket']}/{prefix} ({_megabytes(result['bytes'])} in "
            f"{seconds:.1f} s), {result['there_already']} were there already"
        )
    if failed:
        first = "; ".join(f"{one.key}: {one.problem}" for one in failed[:_SHOWN])
        raise Unreachable(f"{len(failed)} of {len(wanted)} could not be uploaded: {first}. Run it again: it goes on")


def photos_in(folder: Path) -> dict[str, Path]:
    """Return the files to upload by their names below a folder; raises ``Refused``."""
    if not folder.is_dir():
        raise Refused(f"{folder} is not a folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    photos = {path.relative_to(folder).as_posix(): path for path in files}
    photos = {name: path for name, path in photos.items() if not is_ignored(name)}
    if not photos:
        raise Refused(f"{folder} holds no photo")
    for path in photos.values():
        if path.stat().st_size > MAXIMUM_BYTES:
            raise Refused(
                f"{path} has more than {MAXIMUM_BYTES:,} bytes, which no run takes; remove it or save it smaller"
            )
    return photos


def own_labels_in(folder: Path) -> dict[str, Path]:
    """Return the file of the owner's labels beside the photos, if there is one; the run checks what is in it."""
    return {name: folder / name for name in OWN_LABELS if (folder / name).is_file()}


def missing(files: Mapping[str, Path], prefix: str, photos: Bucket) -> dict[str, Path]:
    """Return by key the files that the bucket does not hold with the same bytes."""
    there = {item["Key"]: (item["Size"], item["ETag"].strip('"')) for item in photos.list(prefix)}

    def differs(entry: tuple[str, Path]) -> bool:
        key, path = entry
        size, tag = there.get(key, (-1, ""))
        # Size first: most of what differs is told without reading the file. An ETag is the MD5 of what one PUT wrote.
        return size != path.stat().st_size or tag != _md5(path)

    entries = [(prefix + name, path) for name, path in files.items()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {key: path for (key, path), send in zip(entries, pool.map(differs, entries), strict=True) if send}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def send(files: Mapping[str, Path], photos: Bucket) -> Iterator[Sent]:
    """Upload files by key, many at once, and yield each when it is through."""
    waiting = iter(files.items())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # No more are begun than are under way, so that an interrupt ends soon.
        running: set[Future[Sent]] = {pool.submit(_put, key, path, photos) for key, path in islice(waiting, AT_ONCE)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_put, key, path, photos) for key, path in islice(waiting, len(done))}
            for future in done:
                yield future.result()


def _put(key: str, path: Path, photos: Bucket) -> Sent:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    try:
        with path.open("rb") as file:
            photos.write(key, file, kind)
    except (OSError, Boto3Error, BotoCoreError, ClientError) as error:
        return Sent(key, 0, str(error))
    return Sent(key, path.stat().st_size)


def _shown(sent: Iterator[Sent], files: Mapping[str, Path], quiet: bool) -> Iterator[Sent]:
    """Pass on what is sent, and on a terminal show how far it is, how fast, and how long it will take."""
    if quiet or not files or not on_a_terminal():
        yield from sent
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=sum(path.stat().st_size for path in files.values()))
        for number, one in enumerate(sent, 1):
            progress.update(task, description=f"{number}/{len(files)} photos", advance=files[one.key].stat().st_size)
            if one.problem:
                warn(f"{one.key}: {one.problem}")
            yield one


def _megabytes(count: Any) -> str:
    return f"{count / 1e6:,.1f} MB"
