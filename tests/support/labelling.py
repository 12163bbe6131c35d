"""Label images with the pipeline's code, in virtual time and with the retries of the state machine."""

from __future__ import annotations

from typing import Any

from distillation import ledger
from distillation.errors import BatchUnfinished, Throttled
from distillation.inference.labelling import label_batch
from distillation.records import AnswerLine, Quota, Run
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run
from tests.support.virtual_time import VirtualTime

PRO_QUOTA = Quota(requests_per_minute=250, tokens_per_minute=1_000_000)
"""Documented quota of Nova Pro."""
NEW_ACCOUNT_QUOTA = Quota(requests_per_minute=25, tokens_per_minute=1_000_000)
"""Quota of a new account, which is a tenth of the documented requests per minute."""
_RETRIES = 200


def run_with_quota(quota: Quota, name: str = "holiday-1", **request: Any) -> Run:
    """Return a run whose teacher has ``quota``, and whose budget is practically unlimited.

    Keywords are fields of its request.
    """
    run = any_run(**{"max_usd": 1e6} | request)
    return run.model_copy(update={"name": name, "quotas": {run.teacher.model: quota}})


def label_with_retries(
    time: VirtualTime,
    run: Run,
    images: list[str],
    data: Bucket,
    bedrock: Any,
    concurrent_batches: int = 1,
) -> tuple[list[AnswerLine], int]:
    """Label a batch as the state machine would; return its lines and the number of function invocations."""
    for attempt in range(1, _RETRIES):
        try:
            limits = any_limits(time.clock, seconds=750, batches=concurrent_batches)
            return label_batch(run, images, data, bedrock, limits), attempt
        except (BatchUnfinished, Throttled):
            time.sleep(5)
    raise AssertionError(f"the batch did not end after {_RETRIES} attempts")


def billed_calls(data: Bucket, *runs: str) -> int:
    """Return the number of billed calls in the ledgers of ``runs``."""
    return sum(entry.calls for run in runs for entry in ledger.summary(run, data).entries)
