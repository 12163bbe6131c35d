from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from distillation import keys
from distillation.aws_errors import is_not_found
from distillation.errors import Throttled
from distillation.events import DeployEvent
from distillation.records import TrainedModel
from distillation.serving import deployment
from distillation.serving.clean_up import clean_up
from distillation.serving.execution_state import UNKNOWN_EXECUTION
from distillation.serving.promotion import promote
from distillation.serving.resources import BedrockResource, stop
from distillation.serving.retention import Retention
from tests.support.builders import any_report, any_run
from tests.support.fakes import bucket
from tests.support.training_jobs import CREATED, DEPLOYMENT_ARN, JOB_ARN, MODEL_ARN, create_or_describe

NO_ANSWER = [
    EndpointConnectionError(endpoint_url="https://bedrock"),
    ReadTimeoutError(endpoint_url="https://bedrock"),
    ClientError({"Error": {"Code": "502"}, "ResponseMetadata": {"HTTPStatusCode": 502}}, "Any"),  # type: ignore[typeddict-item]
]


def promoted_model(client: Any) -> Any:
    """Promote a model in a run that replaces a deployment."""
    model = TrainedModel(size=12, status="Active", model_name="n", model_arn=MODEL_ARN)
    report = any_report(models=[model], promoted="n")
    data = bucket(**{keys.report_json_key("holiday-1"): report.model_dump_json().encode()})
    return promote(any_run().model_copy(update={"replaces": DEPLOYMENT_ARN}), data, client)


DEPLOYED = DeployEvent(run="holiday-1", size=12, model_name="n", model_arn=MODEL_ARN)
CALLS: dict[str, Callable[[Any], Any]] = {
    "Customize": create_or_describe,
    "Deploy": lambda client: deployment.create_or_describe(any_run(), DEPLOYED, bucket(), client, lambda: False),
    "Promote": promoted_model,
    "CleanUp": lambda client: clean_up(any_run(), Retention(bucket(), lambda _: UNKNOWN_EXECUTION, CREATED), client),
    "Sweep": lambda client: stop([BedrockResource("job", "n", JOB_ARN, "InProgress", CREATED, {})], client),
}


@pytest.mark.parametrize("error", NO_ANSWER, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", CALLS)
def test_call_without_an_answer_is_an_error_that_the_state_machine_retries(step: str, error: Exception) -> None:
    client: Any = boto3.client("bedrock", config=Config(retries={"total_max_attempts": 1}))

    def fail(**_: Any) -> None:
        raise error

    client.meta.events.register("before-send.bedrock", fail)
    with pytest.raises(Throttled):
        CALLS[step](client)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("ResourceNotFoundException", "", True),
        ("ValidationException", "The specified resource was not found.", True),
        ("ValidationException", "Could not find the job.", True),
        ("ValidationException", "Deployment d does not exist.", True),
        ("ValidationException", "The provided model identifier is invalid.", False),
        ("AccessDeniedException", "Role not found.", False),
    ],
)
def test_error_is_not_found_by_its_code_or_its_words(code: str, message: str, expected: bool) -> None:
    error = ClientError({"Error": {"Code": code, "Message": message}}, "GetModelCustomizationJob")

    assert is_not_found(error) == expected
    assert not is_not_found(ReadTimeoutError(endpoint_url="https://bedrock"))
