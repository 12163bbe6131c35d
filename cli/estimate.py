"""``distill estimate WHAT``: what a run over a folder or a collection will cost, before anything is paid."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.console import Refused, print_json, say, say_wrapped
from cli.requests import checked_collection, read_request, resolved
from cli.stage import Stage
from distillation.costs import calibration
from distillation.costs.estimate import estimate_apply, estimate_run
from distillation.costs.range import format_usd
from distillation.costs.workload import Size, predict_workload
from distillation.inference.rate_limit import calls_per_minute
from distillation.photos.files import is_ignored
from distillation.photos.resizer import PhotoRefused, size_after
from distillation.records import Run
from distillation.runs.existing_model import with_tuned_model
from distillation.storage import Bucket

_HEADER_BYTES = 1 << 16
"""The most that is fetched of a photo in S3 at first; the whole follows where its header is longer."""
_AT_ONCE = 32
_INVENTED = re.compile(r"([1-9]\d{0,5})x([1-9]\d{1,3})x([1-9]\d{1,3})")


@dataclass(frozen=True)
class Measured:
    """One photo: the size of the image that it becomes, or why it is none."""

    photo: str
    bytes: int
    size: Size | None
    reason: str | None = None


def estimate_photos(what: str, request: Path | None, stage: Stage, measured: bool, as_json: bool) -> bool:
    """Print the estimate; return whether it is within ``max_usd``. Raises ``Refused`` for nothing to estimate.

    ``what``: a folder, read here without AWS; a collection; or photos that do not exist yet, such as 900x4000x3000.
    """
    folder, invented = Path(what).expanduser(), _INVENTED.fullmatch(what)
    local = bool(invented) or folder.is_dir()
    collection = None if local else checked_collection(what)
    fields = read_request(request, collection)
    run = resolved(collection or "photos/", fields, stage.name, stage.region)
    if invented:
        photos = list(_invent(*map(int, invented.groups()), side=run.side))
    else:
        photos = list(in_folder(folder, run.side) if local else in_bucket(stage.photos, run))
    sizes = [photo.size for photo in photos if photo.size]
    if not sizes:
        where = "the folder" if local else f"s3://{stage.photos.name}/"
        raise Refused(f"{what}: no photo in {where}; name a folder, or a collection of stage {stage.name!r}")
    if run.request.apply:
        return _estimate_applying(run, sizes, stage, as_json)
    known = _calibrations(run, stage.data) if measured or not local else {}
    work = predict_workload(run, sizes, sum(photo.bytes for photo in photos))
    found = estimate_run(run, work, known, datetime.now(UTC).date())
    found["unreadable"] = [{"photo": photo.photo, "reason": photo.reason} for photo in photos if photo.reason]
    if as_json:
        print_json(found)
    else:
        for line in _lines(what, run, found):
            say_wrapped(line)
    return found["within_budget"]


def _estimate_applying(run: Run, sizes: list[Size], stage: Stage, as_json: bool) -> bool:
    """Print what a tuned model's answers will cost; the run that it comes from tells prompt and student."""
    tuned = with_tuned_model(run, stage.data, stage.client("bedrock"))
    found = estimate_apply(tuned, sizes, calibration.load(tuned.student, stage.data))
    if as_json:
        print_json(found)
    else:
        say(f"{len(sizes)} photos, asked of the model of {run.request.apply}: {found['verdict']}.")
    return found["within_budget"]


def _invent(count: int, width: int, height: int, side: int) -> Iterator[Measured]:
    """Yield as many photos of one size, in pixels, as are asked for."""
    scale = min(1.0, side / max(width, height))
    for number in range(count):
        yield Measured(str(number), 0, (round(width * scale), round(height * scale)))


def in_folder(folder: Path, side: int) -> Iterator[Measured]:
    """Measure the photos of a folder, any nesting, by their headers alone."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if not is_ignored(name):
            with path.open("rb") as file:
                yield _measured(name, path.stat().st_size, file, side)


def in_bucket(photos: Bucket, run: Run) -> Iterator[Measured]:
    """Measure the photos of a collection by the first bytes of each."""
    listed = [item for item in photos.list(run.collection) if not is_ignored(item["Key"])]

    def measure(item: Any) -> Measured:
        head = photos.read_first(item["Key"], _HEADER_BYTES) if item["Size"] else b""
        found = _measured(item["Key"], item["Size"], io.BytesIO(head), run.side)
        if found.reason and item["Size"] > len(head):
            return _measured(item["Key"], item["Size"], io.BytesIO(photos.read(item["Key"])), run.side)
        return found

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(measure, listed)


def _measured(name: str, size: int, file: Any, side: int) -> Measured:
    try:
        return Measured(name, size, size_after(file, side))
    except PhotoRefused as refusal:
        return Measured(name, size, None, str(refusal))


def _calibrations(run: Run, data: Bucket) -> dict[str, calibration.Calibration]:
    models = (run.teacher.model, run.student)
    return {model: found for model in models if (found := calibration.load(model, data))}


def _lines(what: str, run: Run, found: dict[str, Any]) -> Iterable[str]:
    sizes = ", ".join(map(str, found["sizes"]))
    yield f"{what}: {found['images']} photos; {found['test']} to test with, training on {sizes}"
    if found["unreadable"]:
        first = found["unreadable"][0]
        yield f"{len(found['unreadable'])} cannot be used, such as {first['photo']}: {first['reason']}"
    yield f"teacher {run.teacher.model}, student {run.student}"
    yield ""
    yield f"  {'':<44}{'expected':>10}{'from':>10}{'to':>10}"
    for line in found["lines"]:
        yield _row(f"{line['step']}: {line['what']}", line["usd"], line["price"]["confirmed"])
    yield _row("in all", found["range"], True)
    monthly = found["monthly"]["range"]
    yield _row("kept, a month", monthly, True)
    yield ""
    yield f"{found['verdict']}."
    yield _time(run, found["label_minutes"])
    yield from _comparisons(found)
    yield ""
    yield "Where the bounds come from:"
    yield from (f"  {source}" for source in found["range_from"])
    yield from (f"Mind: {warning}" for warning in found["warnings"])


def _row(name: str, usd: dict[str, float], confirmed: bool) -> str:
    figures = "".join(f"{format_usd(usd[bound]):>10}" for bound in ("expected", "low", "high"))
    return f"  {name:<44.44}{figures}{'' if confirmed else ' *'}"


def _time(run: Run, minutes: float) -> str:
    text = f"{minutes / 60:.1f} hours" if minutes > 90 else f"{max(1, round(minutes))} min"
    asked = calls_per_minute(run, run.teacher.model)
    return f"Labelling takes about {text}: the teacher may be asked {asked:,.0f} times a minute (quotas in cdk.json)."


def _comparisons(found: dict[str, Any]) -> Iterator[str]:
    if any(not line["price"]["confirmed"] for line in found["lines"]):
        yield "* depends on a price that no official copy confirmed."
    yield f"The test images show a difference of {found['detectable']:.3f} in the Jaccard index in 8 of 10 runs."
    if images := found["break_even_images"]:
        yield (
            f"Against asking the teacher every time it has paid for itself after {images['expected']:,} images "
            f"({images['low']:,} to {images['high']:,})."
        )
    if flex := found["flex"]:
        yield f"With service_tier flex for the teacher: about {format_usd(flex['usd'])}, slower."
    if provisioned := found["provisioned"]:
        usd, hours = provisioned["usd"], provisioned["hours"]
        mark = "" if provisioned["price"]["confirmed"] else " *"
        yield (
            f"On provisioned throughput the tuned models would have cost {format_usd(usd['low'])} more for "
            f"{hours['low']:g} h, the least that is billed{mark}."
        )
