"""The table of assumptions about AWS in docs/local-vs-aws.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.aws.assumptions import Assumption
from tests.aws.receipt import Receipt

HEADER = ["name", "assumption", "check", "documented", "run on the emulator", "run on AWS"]


def assumption_rows(assumptions: Iterable[Assumption], receipts: Sequence[Receipt]) -> list[list[str]]:
    """Return one row for each assumption; ``receipts`` are sorted by date, oldest first."""
    return [
        [
            f"`{assumption.name}`",
            assumption.statement,
            assumption.cost,
            assumption.documented,
            assumption.emulator,
            _aws_result(assumption, receipts),
        ]
        for assumption in assumptions
    ]


def _aws_result(assumption: Assumption, receipts: Sequence[Receipt]) -> str:
    """Return the newest outcome on AWS that is not an error, and the number of receipts with the same outcome."""
    if assumption.check is None:
        return "–"
    outcomes = [
        (receipt.date, receipt.checks[assumption.name])
        for receipt in receipts
        if assumption.name in receipt.checks and receipt.checks[assumption.name].outcome != "error"
    ]
    if not outcomes:
        return "not yet"
    date, newest = outcomes[-1]
    same = sum(outcome.outcome == newest.outcome for _, outcome in outcomes)
    outcome = "confirmed" if newest.outcome == "confirmed" else "**refuted**"
    # A vertical bar would end the cell, and a placeholder such as <name> would be taken for HTML.
    observation = newest.observation.replace("|", "\\|").replace("<", "&lt;")
    return f"{outcome} {date} ({same} of {len(outcomes)} receipts): {observation}"
