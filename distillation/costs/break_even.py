"""Break-even: when distilling costs less than asking the teacher on its cheapest service tier."""

from __future__ import annotations

from math import ceil

from distillation.costs.lines import format_cents, rounded
from distillation.documents import Bounds, BreakEven
from distillation.models import catalog
from distillation.models.service_tier import cheapest_tier
from distillation.records import Run


def break_even(run: Run, teacher: float, student: float, usd: Bounds) -> BreakEven:
    """Return the break-even of a run that costs ``usd``.

    ``teacher`` and ``student`` are US dollars for 1,000 answers, the teacher's on its cheapest tier.
    """
    storage = catalog.get_model(run.student).price("storage").usd
    saved, volume = (teacher - student) / 1000, run.request.images_per_month
    cheaper = saved > 0
    saved_per_month = None if volume is None else saved * volume - storage
    months = usd.times(1 / saved_per_month) if saved_per_month and saved_per_month > 0 else None
    images = usd.times(1 / saved) if cheaper else None
    storage_images = ceil(storage / saved) if cheaper else None
    return BreakEven(
        teacher_usd_per_1000=round(teacher, 6),
        student_usd_per_1000=round(student, 6),
        storage_usd_per_month=storage,
        storage_images_per_month=storage_images,
        images=rounded(images) if images else None,
        images_per_month=volume,
        months=rounded(months) if months else None,
        verdict=_verdict(run, teacher, student, storage, images, storage_images, months),
    )


def _verdict(
    run: Run,
    teacher: float,
    student: float,
    storage: float,
    images: Bounds | None,
    storage_images: int | None,
    months: Bounds | None,
) -> str:
    name, volume = _teacher_name(run), run.request.images_per_month
    if images is None or storage_images is None:
        return (
            f"{name} costs {format_cents(teacher)} per 1,000 images, no more than the tuned model "
            f"({format_cents(student)}); do not distil to save money."
        )
    if volume is None:
        return (
            f"Break-even against {_lower(name)}: after about {images.expected:,.0f} images{_range(images, 0)}, and "
            f"only above {storage_images:,} images a month, which the storage of the tuned model alone requires "
            f"({format_cents(storage)} a month)."
        )
    at_volume = f"At {volume:,} {'image' if volume == 1 else 'images'} a month {_lower(name)} costs"
    if months is None:
        return f"{at_volume} {format_cents(teacher * volume / 1000)}; do not distil."
    tuned = student * volume / 1000 + storage
    return (
        f"{at_volume} {format_cents(teacher * volume / 1000)} and the tuned model {format_cents(tuned)}, storage "
        f"included; the run has paid for itself after {_duration(months)}."
    )


def _duration(months: Bounds) -> str:
    if months.expected < 0.05:
        return "less than 0.1 months"
    return f"about {months.expected:,.1f} months{_range(months, 1)}"


def _range(bounds: Bounds, decimals: int) -> str:
    if bounds.low == bounds.high:
        return ""
    return f" ({bounds.low:,.{decimals}f} to {bounds.high:,.{decimals}f})"


def _teacher_name(run: Run) -> str:
    return "The teacher on flex" if cheapest_tier(run.teacher.model) == "flex" else "The teacher"


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
