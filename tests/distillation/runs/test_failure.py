from __future__ import annotations

import json
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from distillation import keys
from distillation.documents import Failure, FailureCause
from distillation.errors import ServiceUnavailable
from distillation.records import Run, TrainedModel
from distillation.runs.execution_input import run_name_in
from distillation.runs.failure import describe_failure, failed_run, record_failure
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import MemoryS3, StepFunctionsExceptions, bucket

START = {"collection": "holiday/"}
NAME = run_name_in(json.dumps(START), "arn:1") or ""


class StepFunctions:
    """Step Functions client of an execution with an input and one failed batch; ``refused`` operations fail."""

    exceptions = StepFunctionsExceptions

    def __init__(self, start: Any = START, *refused: str, code: str = "AccessDeniedException") -> None:
        self.start, self.refused, self.code = start, refused, code

    def list_map_runs(self, **_: Any) -> dict[str, Any]:
        self._check("ListMapRuns")
        return {"mapRuns": [{"mapRunArn": "arn:map"}]}

    def list_executions(self, **_: Any) -> dict[str, Any]:
        self._check("ListExecutions")
        return {"executions": [{"executionArn": "arn:batch"}]}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self._check("DescribeExecution")
        if executionArn == "arn:batch":
            return {"error": "AccessDenied", "cause": cause("no access to the model")}
        return {"input": self.start if isinstance(self.start, str) else json.dumps(self.start)}

    def _check(self, operation: str) -> None:
        if operation in self.refused:
            raise ClientError({"Error": {"Code": self.code, "Message": "not authorized"}}, operation)  # type: ignore[arg-type]


class RefusingS3(MemoryS3):
    """S3 that answers every call with one error code."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def get_object(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "GetObject")

    put_object = get_object


def cause(message: str) -> str:
    """Return the cause of a function's error as Step Functions passes it on."""
    return json.dumps({"errorMessage": message, "errorType": "JobFailed", "stackTrace": ["Traceback"]})


def claimed(name: str, execution: str) -> Bucket:
    """Return a Data bucket with a run that ``execution`` has claimed."""
    run = any_run().model_copy(update={"name": name, "execution": execution})
    return bucket(**{keys.request_key(name): run.model_dump_json().encode()})


def failed_in(state: str, error: str, text: str) -> dict[str, Any]:
    """Return the state of an execution after the Catch of a state."""
    return {"run": "holiday-1", "failed": {state: {"Error": error, "Cause": text}}}


def describe(state: Any, client: Any = None) -> FailureCause:
    client = client or cast("Any", StepFunctions())
    return describe_failure(state, "arn:1", client)


def record(state: Any, data: Bucket, client: Any = None) -> FailureCause:
    client = client or cast("Any", StepFunctions())
    return record_failure(state, "arn:1", data, client, lambda _: "")


def find_failed_run(state: Any, data: Bucket, start: Any = START) -> str | None:
    client: Any = StepFunctions(start)
    return failed_run(state, "arn:1", data, client)


def test_failure_has_the_state_and_the_message_without_its_traceback() -> None:
    assert describe(failed_in("Split", "TooFewImages", cause("10 usable images"))) == FailureCause(
        state="Split", error="TooFewImages", cause="Split: 10 usable images"
    )


def test_error_alone_is_a_failure_of_prepare() -> None:
    state = {"Error": "InvalidRequest", "Cause": cause("unknown field")}

    assert describe(state) == FailureCause(state="Prepare", error="InvalidRequest", cause="Prepare: unknown field")


def test_failure_of_a_map_has_the_error_of_its_first_failed_batch() -> None:
    state = failed_in("LabelImages", "States.ExceedToleratedFailureThreshold", "a batch failed")

    assert describe(state) == FailureCause(
        state="LabelImages", error="AccessDenied", cause="LabelImages: no access to the model"
    )


def test_failure_of_a_run_without_a_model_has_the_reason_of_each_size() -> None:
    models = [{"size": 8, "reason": cause("bad data")}, {"size": 14, "reason": "timed out", "model_arn": "arn:model"}]
    state = failed_in("TrainModels", "JobFailed", "no size was trained") | {
        "trained": {"any_active": False, "models": models}
    }
    failure = describe(state)

    assert failure.error == "JobFailed"
    assert failure.cause == "TrainModels: no size was trained: size 8: bad data; size 14: timed out"


def test_run_whose_sizes_all_fail_at_deployment_ends_with_deployment_failed() -> None:
    models = [{"size": size, "reason": "no capacity", "model_arn": f"arn:model-{size}"} for size in (8, 14)]
    state = failed_in("TrainModels", "JobFailed", "no size was trained") | {
        "trained": {"any_active": False, "models": models}
    }

    assert describe(state) == FailureCause(
        state="TrainModels",
        error="DeploymentFailed",
        cause="TrainModels: no tuned model could be deployed: size 8: no capacity; size 14: no capacity",
    )


def test_cause_fits_into_a_fail_state() -> None:
    models = [{"size": size, "reason": "x" * 4_000} for size in range(10)]
    state = failed_in("TrainModels", "JobFailed", "none") | {"trained": {"any_active": False, "models": models}}

    assert len(describe(state).cause) == 8_000


def test_reason_of_a_failed_size_is_the_message_alone() -> None:
    assert TrainedModel(size=8, status="Failed", reason=cause("bad data")).reason == "bad data"


def test_failure_is_written_to_the_run() -> None:
    data = claimed("holiday-1", "arn:1")
    failure = record(failed_in("Split", "TooFewImages", "10 usable images"), data)
    document = Failure.model_validate_json(data.read(keys.failure_key("holiday-1")))

    assert document == Failure(run="holiday-1", execution="arn:1", **failure.model_dump())


def test_kept_models_are_in_the_cause() -> None:
    def kept_models(run: Run) -> str:
        return f"Kept by {run.name}."

    client: Any = StepFunctions()
    state = failed_in("Evaluate", "ObjectMissing", "no report.")
    failure = record_failure(state, "arn:1", claimed("holiday-1", "arn:1"), client, kept_models)

    assert failure.cause == "Evaluate: no report. Kept by holiday-1."


@pytest.mark.parametrize("refused", ["ListMapRuns", "ListExecutions", "DescribeExecution"])
def test_failed_map_is_named_without_the_right_to_read_its_batches(refused: str) -> None:
    state = failed_in("LabelImages", "States.ExceedToleratedFailureThreshold", "a batch failed")
    failure = record(state, bucket(), StepFunctions(START, refused))

    assert failure == FailureCause(
        state="LabelImages", error="States.ExceedToleratedFailureThreshold", cause="LabelImages: a batch failed"
    )


@pytest.mark.parametrize(
    "state",
    [failed_in("Split", "TooFewImages", "10 usable images"), {"Error": "TooFewImages", "Cause": "10 usable images"}],
    ids=["Split", "Prepare"],
)
@pytest.mark.parametrize("refused", ["DescribeExecution", ""])
def test_failed_state_is_named_without_any_right_in_the_data_bucket(state: Any, refused: str) -> None:
    s3: Any = RefusingS3("AccessDenied")
    failure = record(state, Bucket(s3, "data"), StepFunctions(START, refused))
    name = "Split" if "failed" in state else "Prepare"

    assert failure == FailureCause(state=name, error="TooFewImages", cause=f"{name}: 10 usable images")


def test_outage_of_s3_or_step_functions_is_an_error_that_the_state_machine_retries() -> None:
    s3: Any = RefusingS3("SlowDown")
    state = failed_in("LabelImages", "States.ExceedToleratedFailureThreshold", "a batch failed")
    with pytest.raises(ServiceUnavailable, match="s3://data/runs/holiday-1"):
        record(failed_in("Split", "TooFewImages", "x"), Bucket(s3, "data"))
    with pytest.raises(ServiceUnavailable, match="batches of execution"):
        record(state, bucket(), StepFunctions(START, "ListMapRuns", code="ServiceUnavailable"))


def test_execution_that_prepare_refused_has_the_name_of_its_run() -> None:
    refused = {"Error": "InvalidRequest", "Cause": "x"}

    assert find_failed_run(refused, bucket()) == NAME
    assert find_failed_run(refused, claimed(NAME, "arn:1")) == NAME
    assert find_failed_run(refused, claimed(NAME, "arn:2")) is None
    assert find_failed_run({"run": "holiday-1", "claimed_by": None, "failed": {}}, bucket()) == "holiday-1"


@pytest.mark.parametrize("start", [{"detail": 3}, 3, [], "not JSON", "[" * 100_000, {"collection": 3}])
def test_execution_whose_input_names_no_run_has_none(start: Any) -> None:
    assert find_failed_run({"Error": "InvalidRequest", "Cause": "x"}, bucket(), start) is None


def test_run_that_an_input_names_keeps_its_own_failure() -> None:
    start = {"collection": "x/", "run": "holiday-1", "claimed_by": None, "failed": {"Split": {}}}

    name = find_failed_run({"Error": "InvalidRequest", "Cause": "x"}, claimed("holiday-1", "arn:2"), start)

    assert name == run_name_in(json.dumps(start), "arn:1") != "holiday-1"
