"""List the images of a collection that a tuned model is to answer about, and say what that will cost."""

from __future__ import annotations

from typing import Any

from distillation import keys
from distillation.costs.calibration import load
from distillation.costs.estimate import estimate_apply
from distillation.errors import TooFewImages
from distillation.inference.rate_limit import concurrent_batches
from distillation.photos.splits import check_refused_photos, first_photo_by_image, mark_duplicate, read_resize_results
from distillation.records import InventoryLine, Run, SplitLine
from distillation.storage import Bucket


def list_images(run: Run, data: Bucket) -> dict[str, Any]:
    """Write inventory and list of images; return counts, the list's key, the price and how it meets the budget.

    Raises ``EmptyCollection``, ``ToleranceExceeded`` or ``TooFewImages``.
    """
    inventory = read_resize_results(run, data)
    check_refused_photos(run, inventory)
    images = first_photo_by_image(inventory)
    if not images:
        raise TooFewImages(f"no photo in {run.collection!r} can be used; replace them and start again")
    lines = [_line(image, photo) for image, photo in images.items()]
    marked = [mark_duplicate(line, images) for line in inventory]
    data.write_lines(keys.inventory_key(run.name), [line.model_dump(exclude_defaults=True) for line in marked])
    data.write_lines(keys.split_key(run.name, "images"), [line.model_dump() for line in lines])
    priced = estimate_apply(run, [(line.width, line.height) for line in lines], load(run.student, data))
    data.write_json(keys.report_key(run.name, "estimate.json"), priced)
    return {
        "photos": sum(line.status != "ignored" for line in inventory),
        "refused": sum(line.status == "refused" for line in inventory),
        "images": len(images),
        "concurrent_batches": concurrent_batches(run, run.student, len(images), run.concurrency.predict),
        "images_key": keys.split_key(run.name, "images"),
        **{name: priced[name] for name in ("usd", "within_budget", "verdict")},
    }


def _line(image: str, photo: InventoryLine) -> SplitLine:
    return SplitLine(image=image, group=image, photo=photo.photo, width=photo.width or 0, height=photo.height or 0)
