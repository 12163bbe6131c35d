"""The photos of a run and whether each can be used: the lines of ResizePhotos, compared with AwaitUpload's listing.

A photo that cannot be read is set aside like a damaged one, within the request's ``tolerance``. If no photo at all can
be read, the role lacks a permission or the whole collection is archived, and the run ends with ``AccessDenied``.
"""

from __future__ import annotations

from collections.abc import Iterator

from distillation import keys
from distillation.errors import LABELS_ARE_REUSED, AccessDenied, EmptyCollection, ObjectDamaged, ObjectMissing, excerpt
from distillation.photos.files import replaced_raw_files
from distillation.records import InventoryLine, ListedPhoto, Run
from distillation.storage import Bucket
from distillation.tolerance import check_tolerance

DELETED = "no longer exists in the Photos bucket. Upload it again, or ignore this."
"""Reason of a photo that was deleted after it was listed."""
REPLACED_RAW = "RAW file with a JPEG or HEIC of the same name"
"""Reason of a RAW file that is not used."""
NOT_READABLE = "cannot be read: "
"""Start of the reason of a photo that S3 does not return."""


def read_resize_results(run: Run, data: Bucket, photos: Bucket) -> list[InventoryLine]:
    """Return one inventory line for each photo, sorted by name.

    A photo that AwaitUpload listed and that was deleted before ResizePhotos is ``refused``. A photo that arrived later
    is used as well. A RAW file is ``ignored`` if a JPEG or HEIC of the same name can be used. Raises ``ObjectMissing``
    if a part of ResizePhotos is missing.
    """
    lines = {line.photo: line for line in data.read_parts(keys.parts_prefix(run.name, "resize"), InventoryLine)}
    listed = {line.photo for line in data.read_records(keys.listing_key(run.name), ListedPhoto)}
    unlisted = lines.keys() - listed
    for photo in unlisted:
        if lines[photo].reason == DELETED:
            del lines[photo]
    if without_line := listed - lines.keys():
        lines |= {photo: _line_of_deleted(photo) for photo in without_line}
        remaining = without_line.intersection(photos.keys(run.collection))
        for photo in remaining:
            lines[photo] = _line_of_unlistable(run, photo, len(remaining), len(listed), data)
    replaced = replaced_raw_files(lines, lambda photo: lines[photo].status == "ok")
    lines |= {photo: _line_of_replaced_raw(photo) for photo in replaced}
    return [lines[photo] for photo in sorted(lines)]


def read_inventory(run: Run, data: Bucket) -> list[InventoryLine]:
    """Return the line of each photo of the run; see ``iter_inventory``."""
    return list(iter_inventory(run, data))


def iter_inventory(run: Run, data: Bucket) -> Iterator[InventoryLine]:
    """Yield the line of each photo of the run, as Split or ListImages wrote it.

    Raises ``ObjectMissing`` or ``ObjectDamaged``; the latter, after the last line, also if a listed photo has no line.
    Only the names of the photos are kept in memory.
    """
    key = keys.inventory_key(run.name)
    without_line = {line.photo for line in data.read_records(keys.listing_key(run.name), ListedPhoto)}
    listed = len(without_line)
    for line in data.read_records(key, InventoryLine):
        without_line.discard(line.photo)
        yield line
    if without_line:
        raise ObjectDamaged(
            f"s3://{data.name}/{key} has no line of {len(without_line)} of {listed} photos, first "
            f"{excerpt(min(without_line))!r}: it was cut off. Start the run again. {LABELS_ARE_REUSED}"
        )


def check_refused_photos(run: Run, lines: list[InventoryLine]) -> None:
    """Raise an error if too few photos can be used.

    ``EmptyCollection``: there is no photo. ``AccessDenied``: none can be read. ``ToleranceExceeded``: too many were
    refused.
    """
    photos = [line for line in lines if line.status != "ignored"]
    if not photos:
        raise EmptyCollection(f"{excerpt(run.collection)!r} contains no photos. Upload photos and start again.")
    refused = [line for line in photos if line.status == "refused"]
    unreadable = [line for line in refused if (line.reason or "").startswith(NOT_READABLE)]
    if len(unreadable) == len(photos):
        raise AccessDenied(
            f"none of the {len(photos)} photos in {excerpt(run.collection)!r} can be read. First: "
            f"{excerpt(unreadable[0].photo)}: {unreadable[0].reason} Give the role of Resize the right to read the "
            "photos and their KMS key, or restore the photos from the archive, and start again."
        )
    reasons = [f"{excerpt(line.photo)}: {line.reason}" for line in refused]
    check_tolerance(run, "photos", len(photos), reasons, "Remove them or raise 'tolerance'.")


def _line_of_replaced_raw(photo: str) -> InventoryLine:
    return InventoryLine(photo=photo, status="ignored", reason=REPLACED_RAW)


def _line_of_deleted(photo: str) -> InventoryLine:
    return InventoryLine(photo=photo, status="refused", reason=DELETED)


def _line_of_unlistable(run: Run, photo: str, count: int, listed: int, data: Bucket) -> InventoryLine:
    """Return the line of a photo that exists, but that ResizePhotos wrote no line about.

    XML 1.0 cannot represent most control characters, so S3 may list such a photo to a Distributed Map under another
    name. For any other name the batch's part was deleted, and ``ObjectMissing`` is raised. Source: "Naming Amazon S3
    objects", Amazon S3 user guide.
    """
    if not photo.isprintable():
        reason = "its name contains a line break or another character that cannot be listed. Rename it."
        return InventoryLine(photo=photo, status="refused", reason=reason)
    raise ObjectMissing(
        f"{count} of {listed} photos have no line in s3://{data.name}/{keys.parts_prefix(run.name, 'resize')}, first "
        f"{excerpt(photo)!r}: a part of ResizePhotos was deleted"
    )
