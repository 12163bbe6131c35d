"""The one rule of how many items may be set aside before a run stops."""

from __future__ import annotations

from collections.abc import Sequence

from distillation.errors import TooManySetAside
from distillation.records import Run

_SHOWN = 3


def check_set_aside(run: Run, what: str, total: int, reasons: Sequence[str], remedy: str) -> None:
    """Raise ``TooManySetAside`` when more of ``total`` items were refused than the request tolerates.

    ``reasons`` has one text per refused item. The tolerance is a share of many; one bad item in a small collection
    is no reason to stop.
    """
    if len(reasons) > max(1, run.request.tolerance * total):
        raise TooManySetAside(
            f"{len(reasons)} of {total} {what} were refused, more than the tolerance of {run.request.tolerance:.0%}. "
            f"First: {'; '.join(reasons[:_SHOWN])}. {remedy}"
        )
