"""Compare the tokens that a run needs with the account's tokens per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distillation.documents import DailyQuotaUse
from distillation.errors import QuotaExceeded
from distillation.models import catalog
from distillation.records import Run

MAXIMUM_DAYS = 6
"""Largest number of daily quotas that a run may need; its execution times out after 7 days."""
_WARNING_SHARE = 0.5
"""Share of a daily quota above which an estimate has a warning."""


def daily_quota_uses(run: Run, tokens: Mapping[str, float]) -> list[DailyQuotaUse]:
    """Return each model's tokens in multiples of its daily quota; models without a known quota are left out.

    ``tokens`` are the expected tokens of a run by model id. Each deployment of a tuned model has a quota of its own,
    so the student's tokens are those of a single deployment.
    """
    return [
        DailyQuotaUse(model=model, tokens=round(count), tokens_per_day=quota, days=round(count / quota, 4))
        for model, count in tokens.items()
        if count and (quota := run.quota(model).tokens_per_day)
    ]


def days_needed(uses: Sequence[DailyQuotaUse]) -> float:
    """Return the days that the daily quotas of a run take, if it asks one model after the other."""
    return sum(use.days for use in uses)


def check_daily_quotas(uses: Sequence[DailyQuotaUse]) -> None:
    """Raise ``QuotaExceeded`` if a run needs more days of its daily quotas than its execution may take."""
    if excess := excessive_days(uses):
        raise QuotaExceeded(f"the run {excess}")


def excessive_days(uses: Sequence[DailyQuotaUse]) -> str | None:
    """Return which daily quotas would make a run wait for too long, and what to do; None if none would."""
    days = days_needed(uses)
    if days <= MAXIMUM_DAYS:
        return None
    return (
        f"needs {days:.1f} days of the account's tokens per day, more than the {MAXIMUM_DAYS} for which a "
        f"run may wait: {'; '.join(map(_comparison, uses))}. Use fewer photos, or label them in several runs with "
        f"'until': 'LabelImages' and smaller train_sizes, because stored labels are reused. Or have the quota "
        f"raised: {', '.join(quota_name(use.model) for use in uses)}"
    )


def daily_quota_warnings(uses: Sequence[DailyQuotaUse]) -> list[str]:
    """Return a warning for each model whose daily quota the run uses more than half of."""
    return [
        f"the run uses {use.days:.1f} times the daily quota: {_comparison(use)}. "
        + ("It waits until the quota is renewed." if use.days > 1 else "It waits if other calls use the rest.")
        for use in uses
        if use.days > _WARNING_SHARE
    ]


def quota_name(model: str) -> str:
    """Return where Service Quotas shows the tokens per day of a model."""
    code = catalog.get_model(model).tokens_per_day_quota
    return (
        f"Service Quotas, Amazon Bedrock, {code or 'Model invocation max tokens per day'} (tokens per day of {model})"
    )


def _comparison(use: DailyQuotaUse) -> str:
    return f"{use.model} needs {use.tokens:,} tokens at {use.tokens_per_day:,.0f} a day"
