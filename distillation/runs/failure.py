"""Describe a failed execution: which state failed, the name of the error, and its cause in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distillation import keys
from distillation.aws_errors import service_errors
from distillation.documents import Failure, FailureCause
from distillation.errors import DistillationError, ServiceUnavailable, error_message
from distillation.records import Run
from distillation.run_documents import find_run
from distillation.runs.execution_input import read_input, run_name_in
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_NO_CAUSE = "no cause was given"
_CAUSE_CHARACTERS = 8_000
"""Largest number of characters of a cause. Step Functions accepts 32,768 in a Fail state."""


def record_failure(
    state: Any, execution: str, data: Bucket, client: SFNClient, kept_models: Callable[[Run], str]
) -> FailureCause:
    """Return why an execution failed, and write it as ``failure.json`` of its run if it has one.

    ``state`` is the whole state of the execution, or the error alone if Prepare failed. ``kept_models`` describes the
    tuned models of a run that are kept. An object that cannot be read or written is left out, because the execution
    needs the cause. Raises ``ServiceUnavailable``.
    """
    failure = describe_failure(state, execution, client)
    run = None
    with _left_out_if_refused("run"):
        run = failed_run(state, execution, data, client)
    if run is None:
        return failure
    with _left_out_if_refused("tuned models that are kept"):
        failure = with_kept_models(failure, find_run(run, data), kept_models)
    with _left_out_if_refused("failure.json"):
        data.write_document(keys.failure_key(run), Failure(run=run, execution=execution, **failure.model_dump()))
    return failure


def with_kept_models(failure: FailureCause, run: Run | None, kept_models: Callable[[Run], str]) -> FailureCause:
    """Return the failure with the tuned models that are kept, if there are any."""
    text = kept_models(run) if run else ""
    return failure.model_copy(update={"cause": f"{failure.cause.rstrip('.')}. {text}"}) if text else failure


def describe_failure(state: Any, execution: str, client: SFNClient) -> FailureCause:
    """Return the state that failed, the name of the error, and a cause that names the state."""
    failed_state, caught = _failed_state(state)
    error, cause = caught.get("Error", "Unknown"), caught.get("Cause", _NO_CAUSE)
    if error == "States.ExceedToleratedFailureThreshold":
        with _left_out_if_refused("failed batch"):
            error, cause = _first_failed_batch(execution, client) or (error, cause)
    sizes = _failed_sizes(state)
    if sizes and all(size.get("model_arn") for size in sizes):
        error, cause = "DeploymentFailed", "no tuned model could be deployed"
    reasons = "; ".join(f"size {size['size']}: {error_message(size['reason'])}" for size in sizes)
    text = f"{failed_state}: {error_message(cause)}{': ' if reasons else ''}{reasons}"
    return FailureCause(state=failed_state, error=error, cause=text[:_CAUSE_CHARACTERS])


def failed_run(state: Any, execution: str, data: Bucket, client: SFNClient) -> str | None:
    """Return the name of the run of a failed execution, also if Prepare refused it.

    None if the execution has no run, or another execution has claimed it.
    """
    if "run" in state:
        return state["run"]  # Prepare has claimed it for this execution.
    run = run_name_in(read_input(client, execution), execution)
    claimed = find_run(run, data) if run else None
    if claimed is not None and claimed.execution != execution:
        return None
    return run


def _failed_state(state: Any) -> tuple[str, Any]:
    """Return the state that failed, and its Error and Cause. Only Prepare's are not in ``failed``."""
    return next(iter(state.get("failed", {"Prepare": state}).items()))


def _failed_sizes(state: Any) -> list[Any]:
    """Return the failed training sizes if no size was trained; else an empty list."""
    trained = state.get("trained", {})
    return [] if trained.get("any_active", True) else trained["models"]


def _first_failed_batch(execution: str, client: SFNClient) -> tuple[str, str] | None:
    """Return error and cause of the first failed batch: the error of a Map does not contain them."""
    with service_errors(f"batches of execution {execution}"):
        for map_run in client.list_map_runs(executionArn=execution)["mapRuns"]:
            failed = client.list_executions(mapRunArn=map_run["mapRunArn"], statusFilter="FAILED", maxResults=1)
            for child in failed["executions"]:
                batch = client.describe_execution(executionArn=child["executionArn"])
                return batch.get("error", "Unknown"), batch.get("cause", _NO_CAUSE)
    return None


@contextmanager
def _left_out_if_refused(part: str) -> Iterator[None]:
    """Log an error of the ``with`` block instead of raising it, except an outage, which the state machine retries."""
    try:
        yield
    except ServiceUnavailable:
        raise
    except DistillationError as error:
        logger.warning("left out of the failure", part=part, error=str(error))
