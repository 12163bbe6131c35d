"""Checks that need a run of the pipeline, and calls that Bedrock bills.

A check returns its observation as text, and raises ``AssertionError`` if the assumption is wrong.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from PIL import Image

from cli.console import quantity
from distillation import keys
from distillation.costs.calibration import text_tokens
from distillation.models import catalog
from distillation.serving.tags import RUN_TAG
from tests.aws.observed_run import ObservedRun
from tests.support.stored import read_lines

_METRICS = re.compile(r"model-customization-job-[a-z0-9]{12}/training_artifacts/step_wise_training_metrics\.csv$")
_POLL_SECONDS, _MAXIMUM_WAIT_SECONDS = 10, 1800


def distributed_map_rights(observed: ObservedRun) -> str:
    """The role of the state machine has the permissions of all three Distributed Maps."""
    assert observed.execution["status"] == "SUCCEEDED", observed.execution.get("cause")
    response = observed.stage.client("stepfunctions").list_map_runs(executionArn=observed.execution["executionArn"])
    assert len(response["mapRuns"]) == 3
    return "ResizePhotos, LabelImages and PredictTestImages ran with the permissions of the template"


def image_by_s3_location(observed: ObservedRun) -> str:
    """Converse reads an image by its s3Location with the permissions of the caller."""
    answer = _ask(observed, observed.run.teacher.model, _s3_image(observed))
    assert answer["stopReason"] == "end_turn"
    return f"{answer['usage']['inputTokens']} input tokens"


def image_tokens(observed: ObservedRun) -> str:
    """The image tokens that Bedrock bills are within the range that the estimate assumes for the family."""
    observations = []
    for model in (observed.run.teacher.model, observed.run.student):
        family = catalog.get_model(model).family
        low, high = family.image_tokens_spread
        for width, height in ((900, 900), (900, 600), (450, 900)):
            input_tokens = _ask(observed, model, _drawn_image(width, height))["usage"]["inputTokens"]
            billed = input_tokens - text_tokens(observed.run.prompt)
            rule = family.image_tokens(width, height)
            observations.append(f"{model} {width}x{height}: {billed:.0f} billed, {rule} by rule")
            assert 0.9 * low * rule <= billed <= 1.1 * high * rule, observations[-1]
    return "; ".join(observations)


def minimum_temperature(observed: ObservedRun) -> str:
    """The teacher answers at the lowest temperature of its family in the catalog."""
    model = observed.run.teacher.model
    answer = _ask(observed, model, _s3_image(observed))
    assert answer["stopReason"] == "end_turn"
    runtime = observed.stage.client("bedrock-runtime")
    try:
        _ask(observed, model, _s3_image(observed), temperature=0)
    except runtime.exceptions.ValidationException as error:
        return f"{_lowest_temperature(observed)} is accepted; 0 is refused: {error}"
    return f"{_lowest_temperature(observed)} is accepted, and so is 0"


def flex_tier(observed: ObservedRun) -> str:
    """A teacher with a flex price answers on the flex tier and returns the tier."""
    if not catalog.get_model(observed.run.teacher.model).has_price("input-flex"):
        return f"{observed.run.teacher.model} has no flex price"
    answer = _ask(observed, observed.run.teacher.model, _s3_image(observed), serviceTier={"type": "flex"})
    assert answer["serviceTier"]["type"] == "flex"
    return "answered on the flex tier"


def job_states(observed: ObservedRun) -> str:
    """A fine-tuning job ends as Completed, with the status of its three phases and the ARN of its model."""
    durations = []
    for model in observed.models:
        job = observed.stage.client("bedrock").get_model_customization_job(jobIdentifier=model.job_arn)
        assert job["status"] == "Completed"
        assert job["outputModelArn"] == model.model_arn
        phases = {phase: details.get("status") for phase, details in job["statusDetails"].items()}
        assert set(phases) == {"validationDetails", "dataProcessingDetails", "trainingDetails"}
        durations.append(f"{job['endTime'] - job['creationTime']} for {model.size} records")
    return "; ".join(durations)


def training_start(observed: ObservedRun) -> str:
    """Training starts within a day of the creation of the job."""
    waits = []
    for model in observed.models:
        job = observed.stage.client("bedrock").get_model_customization_job(jobIdentifier=model.job_arn)
        waits.append(job["statusDetails"]["trainingDetails"]["creationTime"] - job["creationTime"])
    assert max(waits) < timedelta(days=1), f"after {max(waits)}"
    return "; ".join(f"after {wait.total_seconds() / 60:.0f} min" for wait in waits)


def job_events(observed: ObservedRun) -> str:
    """EventBridge has an event with detail.jobStatus for the end of each job; no code relies on it."""
    statuses = {event["detail"]["jobName"]: event["detail"]["jobStatus"] for event in observed.events}
    assert {model.model_name for model in observed.models} <= set(statuses), statuses
    return quantity(len(observed.events), "event")


def metric_csv_path(observed: ObservedRun) -> str:
    """The training losses are in the CSV file that the report reads."""
    header: list[str] = []
    for model in observed.models:
        training_keys = observed.stage.data.keys(keys.training_prefix(observed.run.name, model.size))
        (key,) = filter(_METRICS.search, training_keys)
        header = next(csv.reader(io.StringIO(observed.stage.data.read(key).decode())))
        assert {"step_number", "epoch_number", "training_loss"} <= set(header), header
    return ", ".join(header)


def deployment_invocation(observed: ObservedRun) -> str:
    """A deployment answers Converse by its ARN, for this caller and for a role with bedrock:InvokeModel on it."""
    for model in observed.models:
        assert _ask(observed, model.deployment_arn, _image_bytes(observed))["stopReason"] == "end_turn"
        answers = list(read_lines(observed.stage.data, keys.predictions_key(observed.run.name, model.answerer)))
        assert any(answer["status"] == "ok" for answer in answers)
    return quantity(len(observed.models), "deployment")


def s3_location_on_deployment(observed: ObservedRun) -> str:
    """A deployment reads an image by its s3Location, or refuses it with ValidationException."""
    runtime, arn = observed.stage.client("bedrock-runtime"), observed.models[0].deployment_arn
    try:
        answer = _ask(observed, arn, _s3_image(observed))
    except runtime.exceptions.ValidationException as error:
        return f"refused, so images are sent as bytes: {error}"
    return f"accepted, {answer['usage']['inputTokens']} input tokens"


def tags_listed(observed: ObservedRun) -> str:
    """ListTagsForResource returns the tags of jobs, models and deployments."""
    for model in observed.models:
        trained_by = model.trained_by or observed.run.name
        runs = {model.job_arn: trained_by, model.model_arn: trained_by, model.deployment_arn: observed.run.name}
        for arn, run in runs.items():
            tags = observed.stage.client("bedrock").list_tags_for_resource(resourceARN=arn)["tags"]
            assert {"key": RUN_TAG, "value": run} in tags, arn
    return "jobs, models and deployments"


def deployment_update(observed: ObservedRun) -> str:
    """A deployment can be updated to another model and keeps its ARN."""
    bedrock, (first, second) = observed.stage.client("bedrock"), observed.models[:2]
    arn = first.deployment_arn
    bedrock.update_custom_model_deployment(modelArn=second.model_arn, customModelDeploymentIdentifier=arn)
    started = time.monotonic()
    deadline = started + _MAXIMUM_WAIT_SECONDS
    deployment = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
    while deployment["updateDetails"]["updateStatus"] == "Updating" and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        deployment = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
    assert deployment["updateDetails"]["updateStatus"] == "UpdateCompleted"
    assert deployment["modelArn"] == second.model_arn
    return f"after {time.monotonic() - started:.0f} s"


def deployed_model_stays(observed: ObservedRun) -> str:
    """Bedrock refuses to delete a deployed model with ConflictException."""
    bedrock = observed.stage.client("bedrock")
    try:
        bedrock.delete_custom_model(modelIdentifier=observed.models[-1].model_arn)
    except bedrock.exceptions.ConflictException as error:
        return str(error)
    raise AssertionError("Bedrock deleted a deployed model")


PAID_CHECKS: Mapping[str, Callable[[ObservedRun], str]] = {
    check.__name__: check
    for check in (
        *(distributed_map_rights, image_by_s3_location, image_tokens, minimum_temperature, flex_tier, job_states),
        *(training_start, job_events, metric_csv_path, deployment_invocation, s3_location_on_deployment),
        *(tags_listed, deployment_update, deployed_model_stays),
    )
}


def _s3_image(observed: ObservedRun) -> dict[str, Any]:
    uri = f"s3://{observed.stage.data.name}/{keys.image_key(observed.run.image_side, observed.test_image)}"
    return {"s3Location": {"uri": uri, "bucketOwner": observed.run.account}}


def _image_bytes(observed: ObservedRun) -> dict[str, Any]:
    return {"bytes": observed.stage.data.read(keys.image_key(observed.run.image_side, observed.test_image))}


def _drawn_image(width: int, height: int) -> dict[str, Any]:
    output = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(output, "JPEG")
    return {"bytes": output.getvalue()}


def _lowest_temperature(observed: ObservedRun) -> float:
    """Return the lowest temperature that the families of teacher and student both accept."""
    models = (observed.run.teacher.model, observed.run.student)
    return max(catalog.get_model(model).family.minimum_temperature for model in models)


def _ask(
    observed: ObservedRun,
    model: str | None,
    source: dict[str, Any],
    *,
    temperature: float | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return the response of Converse to the run's prompt and an image, by default at the lowest temperature."""
    content = [{"text": observed.run.prompt.user}, {"image": {"format": "jpeg", "source": source}}]
    if temperature is None:
        temperature = _lowest_temperature(observed)
    return observed.stage.client("bedrock-runtime").converse(
        modelId=model,
        system=[{"text": observed.run.prompt.system}],
        messages=[{"role": "user", "content": content}],
        inferenceConfig={"maxTokens": observed.run.request.max_tokens, "temperature": temperature},
        **options,
    )
