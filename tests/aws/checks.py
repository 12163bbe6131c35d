"""What this project assumes of AWS and could not check without it: a check each, named as in docs/local-vs-aws.md.

A check returns what it found, in words for the table, and raises AssertionError where the assumption is wrong.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from distillation import keys
from distillation.costs.calibration import text_tokens
from distillation.models import catalog
from distillation.serving.tags import RUN_TAG
from tests.aws.observed import Observed

_METRICS = re.compile(r"model-customization-job-[a-z0-9]{12}/training_artifacts/step_wise_training_metrics\.csv$")
_POLL_SECONDS, _PATIENCE_SECONDS = 10, 1800


def distributed_map_rights(seen: Observed) -> str:
    """The machine's role lets all three Distributed Maps run to their end."""
    assert seen.execution["status"] == "SUCCEEDED", seen.execution.get("cause")
    runs = seen.stage.client("stepfunctions").list_map_runs(executionArn=seen.execution["executionArn"])["mapRuns"]
    assert len(runs) == 3
    return "ResizePhotos, LabelImages and PredictTestImages ran with the template's rights"


def image_by_s3_location(seen: Observed) -> str:
    """Converse reads an image by its s3Location, with the caller's own right to the object."""
    answer = _ask(seen, seen.run.teacher.model, _located(seen))
    assert answer["stopReason"] == "end_turn"
    return f"{answer['usage']['inputTokens']} tokens in"


def image_tokens(seen: Observed) -> str:
    """The family's rule tells the tokens of an image within the spread that the estimate allows for."""
    found = []
    for model in (seen.run.teacher.model, seen.run.student):
        family = catalog.get_model(model).family
        low, high = family.image_tokens_spread
        for width, height in ((900, 900), (900, 600), (450, 900)):
            billed = _ask(seen, model, _drawn(width, height))["usage"]["inputTokens"] - text_tokens(seen.run.prompt)
            rule = family.image_tokens(width, height)
            found.append(f"{model} {width}x{height}: {billed:.0f} billed, {rule} by rule")
            assert 0.9 * low * rule <= billed <= 1.1 * high * rule, found[-1]
    return "; ".join(found)


def flex_tier(seen: Observed) -> str:
    """A teacher with a flex price answers on the flex tier, and says so."""
    if not catalog.get_model(seen.run.teacher.model).has_price("input-flex"):
        return f"{seen.run.teacher.model} has no flex price"
    answer = _ask(seen, seen.run.teacher.model, _located(seen), serviceTier={"type": "flex"})
    assert answer["serviceTier"]["type"] == "flex"
    return "answered on the flex tier"


def lifecycle_fields(seen: Observed) -> str:
    """GetFoundationModel tells the lifecycle of the student under its customization id."""
    model = catalog.get_model(seen.run.student).training_id or ""
    details = seen.stage.client("bedrock").get_foundation_model(modelIdentifier=model)["modelDetails"]
    assert details["modelLifecycle"]["status"] in ("ACTIVE", "LEGACY")
    return f"{model}: {details['modelLifecycle']['status']}"


def job_states(seen: Observed) -> str:
    """A fine-tuning job ends as Completed, tells its three phases, and names its model."""
    told = []
    for model in seen.models:
        job = seen.stage.client("bedrock").get_model_customization_job(jobIdentifier=model["job_arn"])
        assert job["status"] == "Completed"
        assert job["outputModelArn"] == model["model_arn"]
        phases = {phase: details.get("status") for phase, details in job["statusDetails"].items()}
        assert set(phases) == {"validationDetails", "dataProcessingDetails", "trainingDetails"}
        told.append(f"{job['endTime'] - job['creationTime']} for {model['size']} records")
    return "; ".join(told)


def job_events(seen: Observed) -> str:
    """Bedrock tells EventBridge how each job ended, in detail.jobStatus; best effort, and nothing relies on it."""
    ended = {event["detail"]["jobName"]: event["detail"]["jobStatus"] for event in seen.events}
    assert {model["model_name"] for model in seen.models} <= set(ended), ended
    return f"{len(seen.events)} events"


def metric_csv_path(seen: Observed) -> str:
    """Training losses lie where and as the report looks for them."""
    header: list[str] = []
    for model in seen.models:
        (key,) = [
            k for k in seen.stage.data.keys(keys.training_prefix(seen.run.name, model["size"])) if _METRICS.search(k)
        ]
        header = next(csv.reader(io.StringIO(seen.stage.data.read(key).decode())))
        assert {"step_number", "epoch_number", "training_loss"} <= set(header), header
    return ", ".join(header)


def deployment_invocation(seen: Observed) -> str:
    """A deployment answers Converse under its ARN, for us and for a role with bedrock:InvokeModel on it."""
    for model in seen.models:
        assert _ask(seen, model["deployment_arn"], _located(seen))["stopReason"] == "end_turn"
        answers = list(seen.stage.data.read_lines(keys.predictions_key(seen.run.name, f"n{model['size']}")))
        assert any(answer["status"] == "ok" for answer in answers)
    return f"{len(seen.models)} deployments"


def tags_listed(seen: Observed) -> str:
    """ListTagsForResource shows our tags on jobs, models and deployments."""
    for model in seen.models:
        for arn in (model["job_arn"], model["model_arn"], model["deployment_arn"]):
            tags = seen.stage.client("bedrock").list_tags_for_resource(resourceARN=arn)["tags"]
            assert {"key": RUN_TAG, "value": seen.run.name} in tags, arn
    return "all three kinds"


def deployment_update(seen: Observed) -> str:
    """A deployment takes another model under the same ARN."""
    bedrock, (first, second) = seen.stage.client("bedrock"), seen.models[:2]
    arn = first["deployment_arn"]
    bedrock.update_custom_model_deployment(modelArn=second["model_arn"], customModelDeploymentIdentifier=arn)
    began = time.monotonic()
    found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
    while found["updateDetails"]["updateStatus"] == "Updating" and time.monotonic() < began + _PATIENCE_SECONDS:
        time.sleep(_POLL_SECONDS if found["modelArn"] else 0)
        found = bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
    assert found["updateDetails"]["updateStatus"] == "UpdateCompleted"
    assert found["modelArn"] == second["model_arn"]
    return f"after {time.monotonic() - began:.0f} s"


def deployed_model_stays(seen: Observed) -> str:
    """Bedrock refuses with ConflictException to delete a model that is deployed."""
    bedrock = seen.stage.client("bedrock")
    try:
        bedrock.delete_custom_model(modelIdentifier=seen.models[-1]["model_arn"])
    except bedrock.exceptions.ConflictException as error:
        return str(error)
    raise AssertionError("the model was deleted from under its deployment")


CHECKS: Mapping[str, Callable[[Observed], str]] = {
    check.__name__: check
    for check in (
        *(distributed_map_rights, image_by_s3_location, image_tokens, flex_tier, lifecycle_fields, job_states),
        *(job_events, metric_csv_path, deployment_invocation, tags_listed, deployment_update, deployed_model_stays),
    )
}


def _located(seen: Observed) -> dict[str, Any]:
    image, _, _ = seen.image()
    uri = f"s3://{seen.stage.data.name}/{keys.image_key(seen.run.side, image)}"
    return {"s3Location": {"uri": uri, "bucketOwner": seen.run.account}}


def _drawn(width: int, height: int) -> dict[str, Any]:
    output = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(output, "JPEG")
    return {"bytes": output.getvalue()}


def _ask(seen: Observed, model: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = [{"text": seen.run.prompt.user}, {"image": {"format": "jpeg", "source": source}}]
    return seen.stage.client("bedrock-runtime").converse(
        modelId=model,
        system=[{"text": seen.run.prompt.system}],
        messages=[{"role": "user", "content": content}],
        inferenceConfig={"maxTokens": seen.run.request.max_tokens, "temperature": 0},
        **more,
    )
