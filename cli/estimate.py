"""``distill estimate WHAT``: estimate the cost of a run on a folder or a collection before it starts."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.console import CommandError, print_document, print_line, print_wrapped
from cli.requests import collection_prefix, read_request, resolve_request, stage_defaults
from cli.stage import Stage
from distillation.costs import calibration
from distillation.costs.application import estimate_apply
from distillation.costs.daily_quota import MAXIMUM_DAYS, days_needed
from distillation.costs.estimate import estimate_run
from distillation.costs.lines import exactly, format_cents, format_usd
from distillation.costs.workload import predict_workload
from distillation.documents import ApplyEstimate, Bounds, Estimate, EstimateLine, SetAside
from distillation.inference.application import audit_size
from distillation.inference.rate_limit import calls_per_minute
from distillation.photos.files import is_ignored
from distillation.photos.listing import check_photo_count
from distillation.photos.resizer import PhotoRefused, resized_size
from distillation.records import Dimensions, Run
from distillation.runs.account_limits import with_account_quotas
from distillation.runs.existing_model import with_tuned_model
from distillation.runs.list_images import teacher_questions
from distillation.statistical_power import TYPICAL_SD
from distillation.storage import Bucket

_HEADER_BYTES = 1 << 16
"""Bytes read first of a photo in S3. If its header is longer, the whole photo is read."""
_CONCURRENCY = 32
"""Number of parallel reads from S3."""
_HYPOTHETICAL_PHOTOS = re.compile(r"([1-9]\d{0,5})x([1-9]\d{1,3})x([1-9]\d{1,3})")


@dataclass(frozen=True)
class MeasuredPhoto:
    """Size of a photo, or the reason why it cannot be used."""

    photo: str
    """S3 key, or path below the folder."""
    bytes: int
    """Size of the file in bytes; 0 for a hypothetical photo."""
    size: Dimensions | None
    """Width and height after resizing, in pixels."""
    reason: str | None = None
    """Reason why the photo cannot be used."""


def estimate_photos(what: str, request: Path | None, stage: Stage, measured: bool, *, as_json: bool) -> bool:
    """Print an estimate; return whether it is within ``max_usd`` and the daily quotas that a run may need.

    Raises ``CommandError`` if there are no photos.

    ``what`` is a folder, which is read without AWS, a collection, or COUNTxWIDTHxHEIGHT for photos that do not exist
    yet, such as 900x4000x3000. ``measured`` uses the stage's calibration also without a collection.
    """
    folder, hypothetical = Path(what).expanduser(), _HYPOTHETICAL_PHOTOS.fullmatch(what)
    is_local = bool(hypothetical) or folder.is_dir()
    collection = None if is_local else collection_prefix(what)
    fields = read_request(request, collection)
    run = resolve_request(collection or "photos/", fields, stage.name, stage.region)
    if hypothetical:
        photos = list(_hypothetical_photos(*map(int, hypothetical.groups()), side=run.image_side))
    else:
        photos = list(measure_folder(folder, run.image_side) if is_local else measure_collection(stage.photos, run))
    sizes = [photo.size for photo in photos if photo.size]
    if not sizes:
        place = "this folder" if is_local else f"s3://{stage.photos.name}/"
        raise CommandError(
            f"{what}: no usable photos in {place}. Name another folder, or a collection of stage {stage.name!r}."
        )
    check_photo_count(what, len(photos), stage_defaults(stage.name, stage.region).max_photos)
    if run.request.apply:
        return _estimate_existing_model(run, sizes, stage, as_json=as_json)
    use_calibration = measured or not is_local
    calibrations = calibration.load_for(run, stage.data) if use_calibration else {}
    if use_calibration:
        run = with_account_quotas(run, stage.client("service-quotas"))
    workload = predict_workload(run, sizes, sum(photo.bytes for photo in photos))
    unreadable = [SetAside(photo=photo.photo, reason=photo.reason) for photo in photos if photo.reason]
    estimate = estimate_run(run, workload, calibrations, datetime.now(UTC).date())
    estimate = estimate.model_copy(update={"unreadable": unreadable})
    if as_json:
        print_document(estimate)
    else:
        for line in _report_lines(what, run, estimate):
            print_wrapped(line)
    return _can_start(estimate)


def _can_start(estimate: ApplyEstimate) -> bool:
    return estimate.within_budget and days_needed(estimate.daily_quotas) <= MAXIMUM_DAYS


def _estimate_existing_model(run: Run, sizes: list[Dimensions], stage: Stage, *, as_json: bool) -> bool:
    """Print the cost of applying an existing tuned model and return whether it is within ``max_usd``."""
    tuned = with_tuned_model(run, stage.data, stage.client("bedrock"))
    # Without the photos' hashes it is unknown which images are audited, and which of them have a label already.
    audited = sizes[: audit_size(tuned, len(sizes))] * tuned.request.samples_per_image
    questions = teacher_questions(tuned, audited, stage.data)
    calibrations = calibration.load_all((tuned.student, tuned.teacher.model), stage.data)
    estimate = estimate_apply(tuned, sizes, questions, calibrations)
    if as_json:
        print_document(estimate)
    else:
        print_line(f"{len(sizes)} photos with the model of run {run.request.apply}: {estimate.verdict}")
        for line in _daily_quotas(estimate):
            print_line(line)
    return _can_start(estimate)


def _hypothetical_photos(count: int, width: int, height: int, side: int) -> Iterator[MeasuredPhoto]:
    """Yield ``count`` photos of one size in pixels."""
    scale = min(1.0, side / max(width, height))
    for number in range(count):
        yield MeasuredPhoto(str(number), 0, (round(width * scale), round(height * scale)))


def measure_folder(folder: Path, side: int) -> Iterator[MeasuredPhoto]:
    """Yield the sizes of the photos in a folder and its subfolders. Only their headers are read."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if not is_ignored(name):
            with path.open("rb") as file:
                yield _measure(name, path.stat().st_size, file, side)


def measure_collection(photos: Bucket, run: Run) -> Iterator[MeasuredPhoto]:
    """Yield the sizes of the photos in a collection. Usually only the first bytes of each are read."""
    items = [item for item in photos.list(run.collection) if not is_ignored(item["Key"])]

    def measure(item: Any) -> MeasuredPhoto:
        head = photos.read_first(item["Key"], _HEADER_BYTES) if item["Size"] else b""
        photo = _measure(item["Key"], item["Size"], io.BytesIO(head), run.image_side)
        if photo.reason and item["Size"] > len(head):
            return _measure(item["Key"], item["Size"], io.BytesIO(photos.read(item["Key"])), run.image_side)
        return photo

    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        yield from pool.map(measure, items)


def _measure(name: str, size: int, file: Any, side: int) -> MeasuredPhoto:
    try:
        return MeasuredPhoto(name, size, resized_size(file, side))
    except PhotoRefused as refusal:
        return MeasuredPhoto(name, size, None, str(refusal))


def _report_lines(what: str, run: Run, estimate: Estimate) -> Iterable[str]:
    sizes = ", ".join(map(str, estimate.sizes))
    used = str(estimate.images) if estimate.images == estimate.photos else f"{estimate.images} of {estimate.photos}"
    yield f"{what}: {used} photos, of which {estimate.test} for testing; training sizes {sizes}"
    if estimate.unreadable:
        first = estimate.unreadable[0]
        yield f"{len(estimate.unreadable)} photos cannot be used, such as {first.photo}: {first.reason}"
    yield f"Teacher {run.teacher.model}, student {run.student}"
    yield ""
    yield f"  {'':<46}{'expected':>10}{'low':>10}{'high':>10}"
    lines: dict[str, list[EstimateLine]] = {}
    for line in estimate.lines:
        lines.setdefault(f"{line.step}: {line.what}", []).append(line)
    for name, same in lines.items():
        yield _table_row(name, sum((line.usd for line in same), exactly(0)), same[0].price.confirmed)
    yield _table_row("total" if run.request.until else "total to the first verdict", estimate.range, True)
    yield _table_row("storage, per month", estimate.monthly.range, True)
    yield ""
    yield from _plan(estimate)
    yield estimate.verdict
    yield _labelling_time(run, estimate.label_minutes)
    yield from _daily_quotas(estimate)
    yield from _comparisons(estimate)
    yield ""
    yield "Sources of the low and high bounds:"
    yield from (f"  {source}" for source in estimate.range_from)
    yield from (f"Warning: {warning}" for warning in estimate.warnings)


def _table_row(name: str, usd: Bounds, confirmed: bool) -> str:
    figures = "".join(f"{format_usd(getattr(usd, bound)):>10}" for bound in ("expected", "low", "high"))
    return f"  {name:<46.46}{figures}{'' if confirmed else ' *'}"


def _plan(estimate: Estimate) -> Iterator[str]:
    """Yield a table of the rounds; the last column is the time from the start until the result is known."""
    yield f"  {'plan':<59}{'labels':>7}{'expected':>9}{'low':>8}{'high':>8}{'after':>7}"
    hours = 0.0
    for planned in estimate.plan:
        hours += planned.hours.expected
        costs = f"{format_cents(planned.usd.expected):>9}" + "".join(
            f"{format_cents(usd):>8}" for usd in (planned.usd.low, planned.usd.high)
        )
        yield f"  {planned.result:<59}{planned.labels_to_ask:>7,}{costs}{_duration(hours):>7}"
    yield ""


def _duration(hours: float) -> str:
    """Return hours as text: ``5 min``, ``1.9 h`` or, above two days, ``2.5 d``."""
    if hours < 1:
        return f"{max(1, round(hours * 60))} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _labelling_time(run: Run, minutes: float) -> str:
    text = f"{minutes / 60:.1f} hours" if minutes > 90 else f"{max(1, round(minutes))} min"
    limit = calls_per_minute(run, run.teacher.model)
    return (
        f"Labelling takes about {text} at the teacher's rate limit of {limit:,.0f} calls per minute (cdk.json, quotas)."
    )


def _daily_quotas(estimate: ApplyEstimate) -> Iterator[str]:
    for use in estimate.daily_quotas:
        yield (
            f"Tokens of {use.model}: about {use.tokens:,}, {use.days:.2%} of the daily quota of "
            f"{use.tokens_per_day:,.0f} (cdk.json, quotas)."
        )
    if (days := days_needed(estimate.daily_quotas)) > MAXIMUM_DAYS:
        yield f"The run would be refused: it needs {days:.1f} days of the daily quotas, more than {MAXIMUM_DAYS}."


def _comparisons(estimate: Estimate) -> Iterator[str]:
    if any(not line.price.confirmed for line in estimate.lines):
        yield "* depends on a price that is not confirmed by an official source."
    known = "assumed" if estimate.gain_sd is None else "measured in the student's last run"
    sd = TYPICAL_SD if estimate.gain_sd is None else estimate.gain_sd
    yield (
        f"Minimum detectable gain in the Jaccard index: {estimate.detectable:.3f} with {estimate.test} test images "
        f"(80 % power, standard deviation {sd:.2f}, {known})."
    )
    if estimate.break_even:
        yield estimate.break_even.verdict
    if provisioned := estimate.provisioned:
        usd, hours = provisioned.usd, provisioned.hours
        mark = "" if provisioned.price.confirmed else " *"
        yield (
            f"With provisioned throughput, serving would cost {format_usd(usd.low)} more "
            f"({hours.low:g} h, the minimum that is billed){mark}."
        )
