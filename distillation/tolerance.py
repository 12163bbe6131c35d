"""The one rule of how many items may be set aside before a run stops."""

from __future__ import annotations

from collections.abc import Sequence

from distillation.errors import ToleranceExceeded
from distillation.records import Run

_SHOWN = 3


def check_tolerance(run: Run, what: str, total: int, reasons: Sequence[str], remedy: str) -> None:
    """Raise ``ToleranceExceeded`` when more of ``total`` items were refused than the request tolerates.

    ``reasons`` has one text per refused item. The tolerance is a share of many; one bad item in a small collection
    is no reason to stop.
    """
    if len(reasons) > max(1, run.request.tolerance * total):
        raise ToleranceExceeded(
            f"{len(reasons)} of {total} {what} were refused, more than the tolerance of {run.request.tolerance:.0%}. "
            f"First: {'; '.join(reasons[:_SHOWN])}. {remedy}"
        )
