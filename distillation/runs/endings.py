"""Find the run that ended, from the state machine's event or from EventBridge's event of an ended execution."""

from __future__ import annotations

import json

from distillation import keys
from distillation.events import EndingEvent, ExecutionDetail
from distillation.records import Run
from distillation.runs.request import run_name_of
from distillation.storage import Bucket


def find_run(event: EndingEvent, data: Bucket) -> Run | None:
    """Return the run that ended; None if its execution had not claimed one."""
    if event.detail is None:
        return _read(event.run, data)
    run = _read(ended_run_name(event.detail), data)
    return run if run and run.execution == event.detail.execution_arn else None


def ended_run_name(detail: ExecutionDetail) -> str | None:
    """Return the name of the run that an execution was started for; None if its input names none."""
    return run_name_of(json.loads(detail.input or "{}"), detail.execution_arn)


def _read(name: str | None, data: Bucket) -> Run | None:
    body = data.get_or_none(keys.request_key(name)) if name else None
    return Run.model_validate_json(body) if body else None
