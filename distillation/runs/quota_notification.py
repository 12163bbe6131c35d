"""Notify once per run that its batches wait for a daily quota."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distillation import keys
from distillation.errors import DailyQuotaExceeded, DistillationError
from distillation.records import Run
from distillation.runs.notification import Message, waiting_message
from distillation.storage import Bucket
from distillation.telemetry import logger


@contextmanager
def announce_waiting(run: Run, data: Bucket, publish: Callable[[Message], None]) -> Iterator[None]:
    """Publish a notification when ``DailyQuotaExceeded`` leaves the ``with`` block for the first time in the run.

    A conditional write decides which of the run's batches publishes. The error is raised again in every case, because
    the state machine waits and retries when it sees it.
    """
    try:
        yield
    except DailyQuotaExceeded as error:
        logger.warning("batch waits for the daily quota", run=run.name, error=str(error))
        try:
            if data.put_if_absent(keys.waiting_key(run.name), json.dumps({"error": str(error)}).encode()):
                publish(waiting_message(run, error))
        except DistillationError:
            logger.exception("notification could not be published", run=run.name)
        raise
