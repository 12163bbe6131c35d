"""Decide after a round of a run with ``grow`` whether labels and training of the next round are worth their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distillation.costs.daily_quota import excessive_days
from distillation.costs.lines import format_usd
from distillation.documents import Bounds, DailyQuotaUse, EvaluationFigures, GrownRound, Growth, Interval
from distillation.errors import LABELS_ARE_REUSED
from distillation.evaluation import intervals
from distillation.records import Request, Round, answerer_of

Stopped = Literal["flat", "budget", "quota", "all images", "failed"]


@dataclass(frozen=True)
class NextRound:
    """The round that would follow."""

    size: int
    """Training images."""
    usd: Bounds
    """Cost of the round in US dollars."""
    paid_usd: float
    """US dollars that the run has spent or reserved so far."""
    daily_quotas: Sequence[DailyQuotaUse] = ()
    """Tokens per day that the round needs."""


@dataclass(frozen=True)
class Expectation:
    """Forecast of the next round from the scores so far."""

    gain: Interval | None
    """Expected gain in agreement; None with one size, which shows no slope."""
    gap: Interval | None
    """Ceiling minus the agreement of the newest model; None without a ceiling."""


def expectation(
    sizes: Sequence[int], next_size: int, resampled: intervals.Resampled, on_ceiling: intervals.Resampled
) -> Expectation:
    """Return what the scores of the trained ``sizes`` say about ``next_size``.

    ``resampled`` has the scores of all test images, ``on_ceiling`` those of the images of the ceiling.
    """
    names = [answerer_of(size) for size in sizes]
    has_ceiling = "ceiling" in on_ceiling.means
    return Expectation(
        gain=intervals.expected_gain(sizes, next_size, resampled, names),
        gap=on_ceiling.difference("ceiling", answerer_of(max(sizes))) if has_ceiling else None,
    )


def decide_growth(
    request: Request, rounds: Sequence[GrownRound], expected: Expectation | None, following: NextRound | None
) -> Growth:
    """Return the rounds so far, and whether the run continues.

    Growth stops if the newest size was not trained, or if all images are used (``following`` is None). It also stops if
    the next round is expected to gain less than ``grow_until``, or if its highest cost would exceed ``max_usd``.
    Finally, it stops if the round needs more daily quotas than a run may wait for. ``expected`` is None without
    ``following``, and if the newest size was not trained.
    """
    stopped, reason = _decide(request, rounds[-1], expected, following)
    return Growth(
        rounds=list(rounds),
        next_size=following.size if following else None,
        next_gain=expected.gain if expected else None,
        next_usd=following.usd if following else None,
        stopped=stopped,
        reason=reason,
    )


def _decide(
    request: Request, newest: GrownRound, expected: Expectation | None, following: NextRound | None
) -> tuple[Stopped | None, str]:
    """Return why growth stops, None if it continues, and the reason in a sentence."""
    if newest.agreement is None:
        return "failed", f"Growth stopped: the model of {newest.size:,} images was not trained."
    if following is None or expected is None:
        return "all images", f"Growth ended: all {newest.size:,} training images are used."
    threshold, gain, gap = request.grow_until, expected.gain, expected.gap
    if gap is not None and gap.high < threshold:
        reason = (
            f"Growth stopped at {newest.size:,} images: the student's agreement is at most {max(0.0, gap.high):.3f} "
            f"below the teacher's agreement with itself, less than grow_until {threshold:g}."
        )
        return "flat", reason
    if gain is not None and gain.mean < threshold:
        reason = f"Growth stopped at {newest.size:,} images: {_expected(following, gain)}, less than grow_until."
        return "flat", reason
    left = request.max_usd - following.paid_usd
    if following.usd.high > left:
        reason = (
            f"Growth stopped at {newest.size:,} images: training on {following.size:,} may cost "
            f"{format_usd(following.usd.high)}, and {format_usd(max(0.0, left))} of max_usd ${request.max_usd:,.2f} "
            f"are left. Raise max_usd and start again to continue. {LABELS_ARE_REUSED}"
        )
        return "budget", reason
    if excess := excessive_days(following.daily_quotas):
        return "quota", f"Growth stopped at {newest.size:,} images: training on {following.size:,} {excess}."
    price = f"for about {format_usd(following.usd.expected)}"
    if gain is None:
        reason = f"One size shows no trend, so the run trains on {following.size:,} images next, {price}."
    else:
        reason = f"The run continues {price}: {_expected(following, gain)}."
    return None, reason


def _expected(following: NextRound, gain: Interval) -> str:
    return (
        f"{following.size:,} images are expected to change agreement by {gain.mean:+.3f} "
        f"(95 % CI {gain.low:+.3f} to {gain.high:+.3f})"
    )


def grown_rounds(
    rounds: Sequence[Round], figures: EvaluationFigures, earlier_usd: Mapping[int, float | None], total_usd: float
) -> list[GrownRound]:
    """Return the training rounds of a run so far; the last one has just ended.

    ``rounds`` are all rounds so far, the baseline round included. ``earlier_usd`` has what earlier rounds have cost, by
    size; a size without an entry has an unknown cost. ``total_usd`` is the cost of the run so far.
    """
    training = [round_ for round_ in rounds if round_.kind == "training"]
    before_training = sum(round_.to_label for round_ in rounds if round_.kind == "baseline")
    grown: list[GrownRound] = []
    for round_ in training:
        size = max(round_.sizes)
        spent = [earlier.usd for earlier in grown]
        known = [usd for usd in spent if usd is not None]
        rest = total_usd - sum(known) if len(known) == len(spent) else None
        grown.append(
            GrownRound(
                size=size,
                labels=round_.to_label + (0 if grown else before_training),
                usd=rest if round_ is training[-1] else earlier_usd.get(size),
                agreement=figures.agreement.tuned.get(answerer_of(size)),
            )
        )
    return grown
