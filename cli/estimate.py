"""``distill estimate WHAT``: what a run on a folder or a collection would cost, and why it would be refused."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.console import CommandError, print_document, print_wrapped, quantity
from cli.own_labels import local_collection
from cli.requests import collection_prefix, option_fields, read_request, resolve_request, stage_defaults
from cli.stage import Stage
from cli.upload import photos_in
from distillation.costs import calibration
from distillation.costs.apply import estimate_apply
from distillation.costs.estimate import estimate_run
from distillation.costs.lines import exactly, format_cents, format_usd
from distillation.costs.workload import predict_workload
from distillation.documents import ApplyEstimate, Bounds, Estimate, EstimateLine, Preflight, SetAside
from distillation.errors import excerpt
from distillation.inference.apply import audit_size
from distillation.inference.rate_limit import calls_per_minute
from distillation.photos.files import is_owner_file, is_raw, replaced_raw_files, skip_kind, skipped_line
from distillation.photos.resizer import (
    MAXIMUM_BYTES,
    MAXIMUM_PIXELS,
    MINIMUM_SIDE,
    PhotoRefused,
    check_file_size,
    resized_size,
)
from distillation.plain_text import clean_line
from distillation.records import Dimensions, InventoryLine, Run
from distillation.runs.estimate_checks import (
    Refusals,
    check_estimate,
    check_in_stage,
    check_photos,
    check_without_stage,
)
from distillation.runs.existing_model import with_tuned_model
from distillation.runs.list_images import check_any_image, teacher_questions
from distillation.runs.preflight import Account
from distillation.statistical_power import TYPICAL_SD
from distillation.storage import Bucket

_HEADER_BYTES = 1 << 16
"""Bytes read first of a photo in S3. If its header is longer, the whole photo is read."""
_CONCURRENCY = 32
"""Number of parallel reads from S3."""
_HYPOTHETICAL_PHOTOS = re.compile(r"(\d{1,12})x(\d{1,12})x(\d{1,12})")
_LIKE_HYPOTHETICAL_PHOTOS = re.compile(r"[\d.,]+ ?[x×*] ?[\d.,]*.*", re.IGNORECASE)
"""Arguments that look like COUNTxWIDTHxHEIGHT and are not, such as ``900x4000``."""
_MAXIMUM_COUNT = 20_000
"""Largest number of images of a run."""
_MAXIMUM_PIXELS = max(MAXIMUM_PIXELS.values())
_SYNTAX = "COUNTxWIDTHxHEIGHT, such as 900x4000x3000."


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
    """Reason why the photo cannot be used; None also for a RAW file that a JPEG or HEIC replaces."""

    def inventory_line(self, prefix: str) -> InventoryLine:
        """Return the line that ResizePhotos would write, without the image; its photo is at ``prefix``."""
        status = "refused" if self.reason else "ok" if self.size else "ignored"
        return InventoryLine(photo=f"{prefix}{self.photo}", status=status, reason=self.reason)


def estimate_photos(
    what: str,
    request: Path | None,
    stage: Stage,
    measured: bool,
    *,
    as_json: bool,
    assignments: Sequence[str] = (),
) -> bool:
    """Print what a run would cost and why it would be refused; return whether it would not be.

    Raises ``CommandError`` if there are no photos, or ``InvalidRequest`` if the request is not valid.

    ``what`` is a folder, which is read without AWS, a collection, or COUNTxWIDTHxHEIGHT for photos that do not exist
    yet, such as 900x4000x3000. ``assignments`` override fields of ``request``. ``measured`` uses the stage's
    calibration and account also without a collection.
    """
    is_local = _is_local(what, stage)
    collection = None if is_local else collection_prefix(what)
    fields = read_request(request, collection) | option_fields({}, assignments)
    name = collection or _collection_of(what)
    # Without the vocabulary of the collection first: a mistake in the request is found without credentials.
    resolve_request(name, fields, stage.name, stage.region)
    bucket = _bucket_of(what, stage, is_local=is_local)
    run = resolve_request(name, fields, stage.name, stage.region, bucket)
    photos = _read_photos(what, run, stage, bucket, is_local=is_local)
    refusals, limits = Refusals(), stage_defaults(stage.name, stage.region)
    lines = [photo.inventory_line(run.collection if is_local else "") for photo in photos]
    check_photos(run, lines, bucket, limits.max_photos, refusals)
    uses_stage = measured or not is_local
    if uses_stage or run.request.apply:
        run = check_in_stage(run, stage.data, _account(stage), limits.max_usd_per_month, refusals)
    else:
        check_without_stage(run, refusals)
    estimate = None
    with refusals.collect():
        if run.request.apply:
            estimate = _estimate_existing_model(run, photos, stage)
        else:
            estimate = _estimate_new_model(run, photos, stage.data if uses_stage else None)
    check_estimate(run, estimate, refusals)
    found = {
        "refusals": refusals.errors,
        "not_checked": refusals.not_checked,
        "skipped": _skipped_files(what, bucket, run, is_local=is_local),
        "unreadable": [SetAside(photo=photo.photo, reason=photo.reason) for photo in photos if photo.reason],
    }
    preflight = estimate.model_copy(update=found) if estimate else Preflight(**found)
    if as_json:
        print_document(preflight)
    else:
        for line in _report_lines(what, run, preflight):
            print_wrapped(line)
    return not refusals.errors


def _is_local(what: str, stage: Stage) -> bool:
    """Return whether ``what`` needs no AWS: a folder, or photos that do not exist yet; False for a collection.

    Raises ``CommandError`` if it is none of the three.
    """
    path = Path(what).expanduser()
    if path.is_dir():
        return True
    if path.is_file():
        raise CommandError(f"{what} is a file. Name the folder of the photos; of an archive, unpack it first.")
    if hypothetical := _HYPOTHETICAL_PHOTOS.fullmatch(what):
        _check_hypothetical(*map(int, hypothetical.groups()))
        return True
    if _LIKE_HYPOTHETICAL_PHOTOS.fullmatch(what):
        raise CommandError(f"{excerpt(what)}: no such folder. For photos that do not exist yet, write {_SYNTAX}")
    if what.endswith("/") and not what.startswith(("/", "./", "../", "~")):
        return False
    raise CommandError(
        f"{excerpt(what)}: no such folder. For a collection of stage {stage.name!r} write it with a slash at its end, "
        f"such as holiday/. For photos that do not exist yet, write {_SYNTAX}"
    )


def _check_hypothetical(count: int, width: int, height: int) -> None:
    """Raise ``CommandError`` if photos of this number and size in pixels cannot be a run's."""
    if not 1 <= count <= _MAXIMUM_COUNT:
        raise CommandError(f"{excerpt(count)} photos: a run has at most {_MAXIMUM_COUNT:,} images, and at least 1.")
    if min(width, height) < MINIMUM_SIDE or width * height > _MAXIMUM_PIXELS:
        raise CommandError(
            f"{excerpt(width)}x{excerpt(height)} pixels: a photo has at least {MINIMUM_SIDE} pixels on each side, and "
            f"at most {_MAXIMUM_PIXELS:,} in all."
        )


def _collection_of(folder: str) -> str:
    """Return the prefix under which messages name the photos of a folder: the folder's own name."""
    return f"{Path(folder).expanduser().resolve().name or 'photos'}/"


def _bucket_of(what: str, stage: Stage, *, is_local: bool) -> Bucket | None:
    """Return the bucket of the photos, own labels and vocabulary; None for photos that do not exist yet."""
    if _HYPOTHETICAL_PHOTOS.fullmatch(what):
        return None
    return local_collection(_collection_of(what), Path(what).expanduser()) if is_local else stage.photos


def _read_photos(what: str, run: Run, stage: Stage, bucket: Bucket | None, *, is_local: bool) -> list[MeasuredPhoto]:
    """Return the photos. ``bucket`` is None for photos that do not exist yet.

    Raises ``CommandError`` if there are no photos.
    """
    if bucket is None:
        return list(_hypothetical_photos(*map(int, what.split("x")), side=run.image_side))
    folder = Path(what).expanduser()
    photos = list(measure_folder(folder, run.image_side) if is_local else measure_collection(bucket, run))
    if not photos:
        place = "this folder" if is_local else f"s3://{bucket.name}/"
        raise CommandError(
            f"{what}: no photos in {place}. Name another folder, or a collection of stage {stage.name!r}."
        )
    return photos


def _skipped_files(what: str, bucket: Bucket | None, run: Run, *, is_local: bool) -> dict[str, int]:
    """Return the number of files that are not photos, keyed by kind. ``bucket`` is None if there are no files yet."""
    if bucket is None:
        return {}
    if is_local:
        return dict(Counter(photos_in(Path(what).expanduser()).skipped))
    skipped = (key for key in bucket.keys(run.collection) if not is_owner_file(key.removeprefix(run.collection)))
    return dict(Counter(kind for key in skipped if (kind := skip_kind(key))))


def _account(stage: Stage) -> Account:
    services = ("bedrock", "bedrock-runtime", "service-quotas", "lambda", "stepfunctions")
    return Account(stage.region, *map(stage.client, services))


def _estimate_new_model(run: Run, photos: Sequence[MeasuredPhoto], data: Bucket | None) -> Estimate:
    """Return the estimate of a run that trains, with the stage's calibrations if ``data`` is its Data bucket.

    Raises ``TooFewImages`` or ``InvalidRequest`` as Split does.
    """
    sizes = [photo.size for photo in photos if photo.size]
    workload = predict_workload(run, sizes, sum(photo.bytes for photo in photos))
    calibrations = calibration.load_for(run, data) if data else {}
    return estimate_run(run, workload, calibrations, datetime.now(UTC).date())


def _estimate_existing_model(run: Run, photos: Sequence[MeasuredPhoto], stage: Stage) -> ApplyEstimate:
    """Return the estimate of a run that applies a tuned model. Raises ``InvalidRequest`` or ``TooFewImages``."""
    tuned = with_tuned_model(run, stage.data, stage.client("bedrock"))
    sizes = [photo.size for photo in photos if photo.size]
    check_any_image(run, len(sizes))
    # Without the photos' hashes it is unknown which images are audited, and which of them have a label already.
    audited = sizes[: audit_size(tuned, len(sizes))] * tuned.request.samples_per_image
    questions = teacher_questions(tuned, audited, stage.data)
    calibrations = calibration.load_all((tuned.student, tuned.teacher.model), stage.data)
    return estimate_apply(tuned, sizes, questions, calibrations)


def _hypothetical_photos(count: int, width: int, height: int, side: int) -> Iterator[MeasuredPhoto]:
    """Yield ``count`` photos of one size in pixels."""
    scale = min(1.0, side / max(width, height))
    for number in range(count):
        yield MeasuredPhoto(str(number), 0, (round(width * scale), round(height * scale)))


def measure_folder(folder: Path, side: int) -> Iterator[MeasuredPhoto]:
    """Yield the sizes of the photos in a folder and its subfolders. Only their headers are read."""
    for name, path in photos_in(folder).photos.items():
        with path.open("rb") as file:
            yield _measure(name, path.stat().st_size, file, side)


def measure_collection(photos: Bucket, run: Run) -> Iterator[MeasuredPhoto]:
    """Yield the sizes of the photos in a collection; None for a RAW file that a JPEG or HEIC replaces.

    Usually only the first bytes of each photo are read.
    """
    items = {item["Key"]: item for item in photos.list(run.collection) if skip_kind(item["Key"]) is None}

    def measure(key: str) -> MeasuredPhoto:
        size = items[key]["Size"]
        # The images of a RAW file can be anywhere in it.
        head = photos.read_first(key, _HEADER_BYTES) if size and not is_raw(key) else b""
        photo = _measure(key, size, io.BytesIO(head), run.image_side)
        if photo.reason and len(head) < size <= MAXIMUM_BYTES:
            return _measure(key, size, io.BytesIO(photos.read(key)), run.image_side)
        return photo

    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        measured = {photo.photo: photo for photo in pool.map(measure, [key for key in items if not is_raw(key)])}
        replaced = replaced_raw_files(items, lambda key: measured[key].size is not None)
        raw = [key for key in items if is_raw(key) and key not in replaced]
        measured |= {photo.photo: photo for photo in pool.map(measure, raw)}
    measured |= {key: MeasuredPhoto(key, items[key]["Size"], None) for key in replaced}
    yield from (measured[key] for key in items)


def _measure(name: str, size: int, file: Any, side: int) -> MeasuredPhoto:
    try:
        check_file_size(size)
        return MeasuredPhoto(name, size, resized_size(file, side, name))
    except PhotoRefused as refusal:
        return MeasuredPhoto(name, size, None, str(refusal))


def _report_lines(what: str, run: Run, preflight: Preflight) -> Iterable[str]:
    if preflight.unreadable:
        first = preflight.unreadable[0]
        unreadable = quantity(len(preflight.unreadable), "photo")
        yield f"{unreadable} cannot be used, such as {clean_line(first.photo)}: {first.reason}"
    if preflight.skipped:
        yield skipped_line(preflight.skipped)
    if isinstance(preflight, Estimate):
        yield from _estimate_lines(what, run, preflight)
    elif isinstance(preflight, ApplyEstimate):
        yield f"{what}: with the model of run {run.request.apply}: {preflight.verdict}"
        yield from _daily_quotas(preflight)
    yield f"Not checked: {'; '.join(preflight.not_checked)}."
    yield from (f"This run would be refused: {refusal}" for refusal in preflight.refusals)


def _estimate_lines(what: str, run: Run, estimate: Estimate) -> Iterable[str]:
    sizes = ", ".join(map(str, estimate.sizes))
    used = str(estimate.images) if estimate.images == estimate.photos else f"{estimate.images} of {estimate.photos}"
    yield f"{what}: {used} photos, of which {estimate.test} for testing; training sizes {sizes}"
    yield f"Teacher {run.teacher.model}, student {run.student}"
    yield ""
    lines: dict[str, list[EstimateLine]] = {}
    for line in estimate.lines:
        lines.setdefault(f"{line.step}: {line.what}", []).append(line)
    width = max(46, *map(len, lines))
    yield f"  {'':<{width}}{'expected':>10}{'low':>10}{'high':>10}"
    for name, same in lines.items():
        yield _table_row(width, name, sum((line.usd for line in same), exactly(0)), same[0].price.confirmed)
    total = "total" if run.request.until else "total to the first verdict"
    yield _table_row(width, total, estimate.range, True)
    yield _table_row(width, "storage, per month", estimate.monthly.range, True)
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


def _table_row(width: int, name: str, usd: Bounds, confirmed: bool) -> str:
    figures = "".join(f"{format_usd(getattr(usd, bound)):>10}" for bound in ("expected", "low", "high"))
    return f"  {name:<{width}}{figures}{'' if confirmed else ' *'}"


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


def _comparisons(estimate: Estimate) -> Iterator[str]:
    if any(not line.price.confirmed for line in estimate.lines):
        yield "* depends on a price that is not confirmed by an official source."
    known = "assumed" if estimate.gain_sd is None else "measured in the student's last run"
    sd = TYPICAL_SD if estimate.gain_sd is None else estimate.gain_sd
    yield (
        f"Minimum detectable gain in agreement: {estimate.detectable:.3f} with {estimate.test} test images "
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
