"""Limit on the share of items that a run may set aside."""

from __future__ import annotations

from collections.abc import Sequence

from distillation.errors import ToleranceExceeded
from distillation.records import Run

_REASONS_SHOWN = 3


def check_tolerance(run: Run, items: str, total: int, reasons: Sequence[str], remedy: str) -> None:
    """Raise ``ToleranceExceeded`` if the run set aside more of ``total`` items than its ``tolerance`` allows.

    ``items`` is a plural noun, such as ``photos``. ``reasons`` has one text per item set aside; ``remedy`` ends the
    message. One item may always be set aside, so that a single bad photo does not stop a small collection.
    """
    if len(reasons) > max(1, run.request.tolerance * total):
        shown = [f"{reason.rstrip('.')}." for reason in reasons[:_REASONS_SHOWN]]
        raise ToleranceExceeded(
            f"{len(reasons)} of {total} {items} were set aside, "
            f"more than the tolerance of {run.request.tolerance:.0%}. First: {' '.join(shown)} {remedy}"
        )
