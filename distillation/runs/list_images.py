"""List the images of a collection that a tuned model is asked about (``apply``), and price the answers."""

from __future__ import annotations

from collections.abc import Sequence

from distillation import keys
from distillation.costs.apply import TeacherQuestions, estimate_apply
from distillation.costs.calibration import load_all
from distillation.costs.daily_quota import check_daily_quotas
from distillation.costs.lines import exactly
from distillation.documents import Bounds, Report
from distillation.errors import ObjectDamaged, TooFewImages, excerpt
from distillation.events import ListImagesResult
from distillation.inference.apply import audited_images
from distillation.inference.rate_limit import concurrent_batches
from distillation.photos.inventory import check_refused_photos, read_resize_results
from distillation.photos.splits import first_photo_by_image, mark_duplicate
from distillation.records import Dimensions, InventoryLine, Run, SplitLine
from distillation.run_documents import find_report
from distillation.storage import Bucket

_TOLERATED_SHARE = 0.02
"""Share of answers that are not valid, which ``gate_validity`` tolerates by default."""


def list_images(run: Run, data: Bucket, photos: Bucket) -> ListImagesResult:
    """Write inventory, list of images and estimate. The list says which images are audited.

    Raises ``EmptyCollection``, ``AccessDenied``, ``ToleranceExceeded``, ``TooFewImages``, ``QuotaExceeded`` or
    ``ObjectMissing``.
    """
    inventory = read_resize_results(run, data, photos)
    check_refused_photos(run, inventory)
    images = first_photo_by_image(inventory)
    check_any_image(run, len(images))
    audited = audited_images(run, images)
    lines = [_split_line(image, photo, audit=image in audited) for image, photo in images.items()]
    marked = [mark_duplicate(line, images) for line in inventory]
    data.write_lines(keys.inventory_key(run.name), [line.model_dump(exclude_defaults=True) for line in marked])
    data.write_lines(keys.split_key(run.name, "images"), [line.model_dump() for line in lines])
    questions = teacher_questions(run, _unlabelled(run, [line for line in lines if line.audit], data), data)
    calibrations = load_all((run.student, run.teacher.model), data)
    estimate = estimate_apply(run, [line.dimensions for line in lines], questions, calibrations)
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


def check_any_image(run: Run, images: int) -> None:
    """Raise ``TooFewImages`` if no photo can be used, which a ``tolerance`` of 1 allows."""
    if not images:
        raise TooFewImages(f"no photo in {excerpt(run.collection)!r} can be used. Replace them and start again.")


def teacher_questions(run: Run, audited: Sequence[Dimensions], data: Bucket) -> TeacherQuestions:
    """Return what the teacher is asked in a run with ``apply``; ``audited`` has the dimensions of audited images."""
    invalid = expected_invalid_share(run, data) if run.request.fallback else exactly(0)
    return TeacherQuestions(audited, invalid)


def expected_invalid_share(run: Run, data: Bucket) -> Bounds:
    """Return the share of answers that are not valid, as the evaluation of the tuned model measured it.

    With no invalid answer among n test images, the upper bound of 95 % is 3/n (Hanley and Lippman-Hand 1983). Without
    figures the expected share is the one that the gate tolerates by default.
    """
    try:
        report = find_report(run.request.apply or "", data)
    except ObjectDamaged:
        report = None
    figures = report.evaluation if isinstance(report, Report) else None
    valid = figures and run.applies and figures.metrics.get(run.applies.answerer, {}).get("valid")
    if not (figures and valid):
        return Bounds(low=0, expected=_TOLERATED_SHARE, high=1)
    high = max(1 - valid.low, min(1.0, 3 / figures.test_images))
    return Bounds(low=1 - valid.high, expected=1 - valid.mean, high=high)


def _unlabelled(run: Run, lines: Sequence[SplitLine], data: Bucket) -> list[Dimensions]:
    """Return an entry for each label of the audit that no run has paid for."""
    if not lines:
        return []
    stored = set(data.keys(keys.labels_prefix(run.teacher.id)))
    samples = range(run.request.samples_per_image)
    wanted = ((line, keys.label_key(run.teacher.id, line.image, sample)) for line in lines for sample in samples)
    return [line.dimensions for line, key in wanted if key not in stored]


def _split_line(image: str, photo: InventoryLine, *, audit: bool) -> SplitLine:
    width, height = photo.width or 0, photo.height or 0
    return SplitLine(image=image, group=image, photo=photo.photo, width=width, height=height, audit=audit)
