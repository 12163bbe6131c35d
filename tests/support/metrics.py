"""Metrics and log lines of Lambda functions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distillation import telemetry


def metric_totals(printed: str) -> dict[str, float]:
    """Return the totals by name in the one metrics document that a function printed."""
    (document,) = [json.loads(line) for line in printed.splitlines() if line.startswith('{"_aws"')]
    return {name: sum(value) for name, value in document.items() if isinstance(value, list)}


class _RecordingHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.__dict__)


@contextmanager
def recorded_log() -> Iterator[list[dict[str, Any]]]:
    """Yield a list to which the fields of each log line are appended."""
    handler, logger = _RecordingHandler(), logging.getLogger(telemetry.logger.service)
    logger.addHandler(handler)
    try:
        yield handler.records
    finally:
        logger.removeHandler(handler)
