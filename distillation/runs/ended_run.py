"""Find the run that ended, from the state machine's event or from EventBridge's event of an ended execution."""

from __future__ import annotations

from distillation.events import EndingEvent, ExecutionDetail
from distillation.records import Run
from distillation.run_documents import find_run
from distillation.runs.execution_input import run_name_in
from distillation.storage import Bucket


def find_ended_run(event: EndingEvent, data: Bucket) -> Run | None:
    """Return the run that ended; None if its execution had not claimed one."""
    name = ended_run_name(event.detail) if event.detail else event.run
    run = find_run(name, data) if name else None
    if run and event.detail and run.execution != event.detail.execution_arn:
        return None
    return run


def ended_run_name(detail: ExecutionDetail) -> str | None:
    """Return the name of the run that an execution was started for; None if its input names none."""
    return run_name_in(detail.input or "{}", detail.execution_arn)
