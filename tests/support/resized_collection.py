"""A resized collection as Split reads it, and the sets and groups that Split writes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from distillation import keys
from distillation.documents import Rounds
from distillation.events import SplitResult
from distillation.photos import splits
from distillation.records import Round, Run
from distillation.storage import Bucket
from tests.support.fakes import bucket
from tests.support.stored import read_lines


def resized_collection(
    images: list[str],
    refused: int = 0,
    hashes: Mapping[str, int] = MappingProxyType({}),
    flags: Mapping[str, list[str]] = MappingProxyType({}),
    data: Bucket | None = None,
    run: str = "holiday-1",
) -> Bucket:
    """Write the results of AwaitUpload and ResizePhotos into a Data bucket and return it."""
    data = data or bucket()
    lines: list[dict[str, Any]] = [
        {"photo": f"p{n:04}", "status": "ok", "image": image, "width": 900, "height": 600, "bytes": 1}
        | {"perceptual_hash": f"{hashes[image]:016x}" if image in hashes else None, "flags": flags.get(image, [])}
        for n, image in enumerate(images)
    ]
    lines += [{"photo": f"bad{n}", "status": "refused", "reason": "damaged"} for n in range(refused)]
    data.write_lines(keys.part_key(run, "resize", "b"), lines)
    data.write_lines(keys.listing_key(run), [{"photo": line["photo"]} for line in lines])
    return data


def split(run: Run, data: Bucket) -> SplitResult:
    """Split a collection without own labels."""
    return splits.split(run, data, bucket())


def rounds(data: Bucket, run: str = "holiday-1") -> list[Round]:
    """Return the rounds that Split planned."""
    return data.read_document(keys.rounds_key(run), Rounds).rounds


def images_to_label(data: Bucket) -> list[str]:
    """Return the images that the teacher labels in all rounds, in order."""
    return [line["image"] for round_ in rounds(data) for line in read_lines(data, round_.to_label_key)]


def sets_by_image(data: Bucket, run: str = "holiday-1") -> dict[str, str]:
    """Return the set of each image in the inventory."""
    inventory = read_lines(data, keys.inventory_key(run))
    return {line["image"]: line["set"] for line in inventory if line.get("set")}


def sets_by_group(data: Bucket, run: str = "holiday-1") -> dict[str, set[str]]:
    """Return the sets of each group of near-duplicates in the inventory."""
    sets: dict[str, set[str]] = {}
    for line in read_lines(data, keys.inventory_key(run)):
        if line.get("set"):
            sets.setdefault(line["group"], set()).add(line["set"])
    return sets
