"""List the images of a collection that a tuned model is asked about (``apply``), and price the answers."""

from __future__ import annotations

from distillation import keys
from distillation.costs.calibration import load
from distillation.costs.daily_quota import check_daily_quotas
from distillation.costs.estimate import estimate_apply
from distillation.errors import TooFewImages, excerpt
from distillation.events import ListImagesResult
from distillation.inference.rate_limit import concurrent_batches
from distillation.photos.inventory import check_refused_photos, read_resize_results
from distillation.photos.splits import first_photo_by_image, mark_duplicate
from distillation.records import InventoryLine, Run, SplitLine
from distillation.storage import Bucket


def list_images(run: Run, data: Bucket, photos: Bucket) -> ListImagesResult:
    """Write inventory, list of images and estimate.

    Raises ``EmptyCollection``, ``AccessDenied``, ``ToleranceExceeded``, ``TooFewImages``, ``QuotaExceeded`` or
    ``ObjectMissing``.
    """
    inventory = read_resize_results(run, data, photos)
    check_refused_photos(run, inventory)
    images = first_photo_by_image(inventory)
    if not images:
        raise TooFewImages(f"no photo in {excerpt(run.collection)!r} can be used. Replace them and start again.")
    lines = [_split_line(image, photo) for image, photo in images.items()]
    marked = [mark_duplicate(line, images) for line in inventory]
    data.write_lines(keys.inventory_key(run.name), [line.model_dump(exclude_defaults=True) for line in marked])
    data.write_lines(keys.split_key(run.name, "images"), [line.model_dump() for line in lines])
    estimate = estimate_apply(run, [line.dimensions for line in lines], load(run.student, data))
    data.write_document(keys.estimate_key(run.name), estimate)
    check_daily_quotas(estimate.daily_quotas)
    return ListImagesResult(
        photos=sum(line.status != "ignored" for line in inventory),
        refused=sum(line.status == "refused" for line in inventory),
        images=len(images),
        concurrent_batches=concurrent_batches(run, run.student, len(images), run.concurrency.predict),
        images_key=keys.split_key(run.name, "images"),
        usd=estimate.usd,
        within_budget=estimate.within_budget,
        verdict=estimate.verdict,
    )


def _split_line(image: str, photo: InventoryLine) -> SplitLine:
    return SplitLine(image=image, group=image, photo=photo.photo, width=photo.width or 0, height=photo.height or 0)
