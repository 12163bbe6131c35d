"""Checks of ``distill estimate``: collect the errors with which the steps of a run would refuse it.

A run ends at its first error. ``distill estimate`` collects all of them before anything is uploaded or paid for, and
says what it could not check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError

from distillation.answers.own_labels import read_own_labels
from distillation.aws_errors import AWS_FAILURES
from distillation.costs.daily_quota import check_daily_quotas
from distillation.documents import ApplyEstimate
from distillation.errors import (
    AccessDenied,
    EmptyCollection,
    InvalidRequest,
    ObjectDamaged,
    OverBudget,
    QuotaExceeded,
    ServiceUnavailable,
    Throttled,
    ToleranceExceeded,
    TooFewImages,
)
from distillation.photos.inventory import check_refused_photos
from distillation.photos.listing import check_photo_count
from distillation.records import InventoryLine, Run
from distillation.runs.account_limits import check_smallest_run, with_account_quotas
from distillation.runs.existing_model import with_replaced_deployment
from distillation.runs.month_budget import MonthlyBudget
from distillation.runs.preflight import Account, check_training_record, free_checks, probes_teacher
from distillation.storage import Bucket

_REFUSALS = (
    EmptyCollection,
    InvalidRequest,
    ObjectDamaged,
    OverBudget,
    QuotaExceeded,
    ToleranceExceeded,
    TooFewImages,
)
_NO_ANSWER = (AccessDenied, ServiceUnavailable, Throttled, BotoCoreError, *AWS_FAILURES)
"""Errors that say nothing about the run: the caller of the command may have other permissions than the run's steps."""


@dataclass(frozen=True)
class Refusals:
    """Errors with which a run would be refused, and what could not be checked."""

    errors: list[str] = field(default_factory=list)
    """Messages of the errors."""
    not_checked: list[str] = field(default_factory=list)
    """Noun phrases that name what could not be checked."""

    @contextmanager
    def collect(self, subject: str | None = None) -> Iterator[None]:
        """Collect the error with which the block refuses the run; the rest of the block is skipped.

        With ``subject``, a noun phrase, an error that says nothing about the run makes it a part of ``not_checked``.
        """
        try:
            yield
        except _REFUSALS as error:
            self.errors.append(str(error))
        except _NO_ANSWER as error:
            if subject is None:
                raise
            self.not_checked.append(f"{subject} ({error})")


def check_photos(
    run: Run, lines: Sequence[InventoryLine], photos: Bucket | None, max_photos: int, refusals: Refusals
) -> None:
    """Check the photos as AwaitUpload and Split, or ListImages, do before they count images.

    ``lines`` are from the photos' headers. ``photos`` has the file with own labels; None if it does not exist yet.
    """
    with refusals.collect():
        check_photo_count(run.collection, len(lines), max_photos)
    with refusals.collect():
        check_refused_photos(run, list(lines))
    refusals.not_checked.append("image data after the headers, duplicates and near-duplicates")
    if run.request.exclude_flags:
        refusals.not_checked.append("images that exclude_flags leaves out")
    if run.request.apply:
        return
    refusals.not_checked.append("the exact sizes of the sets, which are predicted")
    if photos is None:
        refusals.not_checked.append("your own labels")
        return
    with refusals.collect("your own labels"):
        read_own_labels(run, photos, lines)


def check_in_stage(run: Run, data: Bucket, account: Account, max_usd_per_month: float, refusals: Refusals) -> Run:
    """Check what Prepare checks in the stage and its account, and return the run with the account's quotas.

    Nothing is written, and nothing is asked that is billed.
    """
    if run.request.replace:
        with refusals.collect("the deployment that replace names"):
            run = with_replaced_deployment(run, data, account.bedrock)
    if not run.request.apply:
        with refusals.collect():
            check_training_record(run, data.name)
        with refusals.collect():
            run = with_account_quotas(run, account.quotas)
    with refusals.collect("the stage's budget of the month"):
        MonthlyBudget(data, account.states, datetime.now(UTC)).check(run, max_usd_per_month)
    for check in free_checks(run, account):
        with refusals.collect("the student and quotas of the account"):
            check()
    refusals.not_checked.append("quotas that Service Quotas does not return")
    if probes_teacher(run):
        refusals.not_checked.append("whether the teacher answers, because the question is billed")
    return run


def check_without_stage(run: Run, refusals: Refusals) -> None:
    """Check what Prepare checks without AWS."""
    with refusals.collect():
        check_training_record(run)
    refusals.not_checked.append("the account's access to the models, its quotas, and the stage's budget of the month")
    if run.request.replace:
        refusals.not_checked.append("the deployment that replace names")


def check_estimate(run: Run, estimate: ApplyEstimate | None, refusals: Refusals) -> None:
    """Check tokens per day and budget as Prepare, Estimate and ListImages do; ``estimate`` is None if there is none."""
    with refusals.collect():
        if not run.request.apply:
            check_smallest_run(run)
        if estimate:
            check_daily_quotas(estimate.daily_quotas)
    with refusals.collect():
        if estimate and not estimate.within_budget:
            raise OverBudget(estimate.verdict)
