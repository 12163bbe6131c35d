"""What the endpoint knows and does: models, jobs, deployments, and answers about images.

A job trains the local student on the dataset that it finds in S3. Prompts are accepted and not read: the
small models know only images.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from lambdas.shared import families
from lambdas.shared.keywords import keywords
from lambdas.validate_dataset.checks import problems
from local.bedrock.protocol import BedrockError

ACCOUNT = "000000000000"
REGION = "us-east-1"
_PREFIX = f"arn:aws:bedrock:{REGION}:{ACCOUNT}"
_DEPLOYMENTS_IN_PROGRESS = 2
_CHARACTERS_PER_TOKEN = 4
_EXTENSION_OF = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose; nothing by default."""

    throttle_every: int = 0
    """Every so many calls of Converse are answered with ThrottlingException."""
    failing_jobs: str | None = None
    """Jobs whose name contains this text fail."""
    job_seconds: float = 0.2
    """How long a job takes at least."""


@dataclass
class Service:
    """The state behind the endpoint; methods named as Bedrock's operations, with its parameters."""

    s3: Callable[[], Any]
    cache: Path
    models: Any
    identity: Any | None
    faults: Faults
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    custom_models: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _heads: dict[str, Any] = field(default_factory=dict)
    _loaded: dict[str, Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, operation: str, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
        """Carry out an operation for a caller; raises ``BedrockError``."""
        handler = getattr(self, operation, None)
        if handler is None:
            raise BedrockError("ValidationException", f"{operation} is not part of this local endpoint")
        return handler(values, caller)

    # Converse

    def Converse(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Answer with the keywords that a small model sees in the request's one image."""
        started = time.monotonic()
        model = values["modelId"]
        kind = "custom-model-deployment" if model.startswith("arn:") else "foundation-model"
        arn = model if model.startswith("arn:") else f"arn:aws:bedrock:{REGION}::{kind}/{model}"
        self._authorise(caller, "bedrock:InvokeModel", arn)
        with self._lock:
            self.calls.append(("Converse", model))
            number = len(self.calls)
        if self.faults.throttle_every and number % self.faults.throttle_every == 0:
            raise BedrockError("ThrottlingException", "Too many requests, please wait before trying again.")
        body = self._image(values, caller)
        image = _opened(body)
        settings = values.get("inferenceConfig", {})
        seed = self._seed(model, body)
        words = self._look(model, image, settings.get("temperature", 0.0), seed)
        text, stop = _cut(", ".join(words), settings.get("maxTokens", 5000))
        prompt = sum(len(block.get("text", "")) for block in values.get("system", []))
        prompt += sum(len(block.get("text", "")) for m in values["messages"] for block in m["content"])
        tokens_in = prompt // _CHARACTERS_PER_TOKEN + families.NOVA_1.image_tokens(*image.size)
        tokens_out = max(1, len(text) // _CHARACTERS_PER_TOKEN)
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": stop,
            "usage": {
                "inputTokens": tokens_in,
                "outputTokens": tokens_out,
                "totalTokens": tokens_in + tokens_out,
            },
            "metrics": {"latencyMs": round((time.monotonic() - started) * 1000)},
        }

    def _seed(self, model: str, image: bytes) -> int:
        """Number the questions about an image, so that each is sampled anew and a run can be repeated."""
        with self._lock:
            self._asked[model, hashlib.sha256(image).hexdigest()] += 1
            number = self._asked[model, hashlib.sha256(image).hexdigest()]
        return int.from_bytes(hashlib.sha256(f"{model}{number}".encode() + image).digest()[:4], "big")

    def _image(self, values: dict[str, Any], caller: str | None) -> bytes:
        blocks = [block["image"] for m in values["messages"] for block in m["content"] if "image" in block]
        if len(blocks) != 1:
            raise BedrockError("ValidationException", "The local models answer about exactly one image.")
        source = blocks[0]["source"]
        body = source["bytes"] if "bytes" in source else self._fetch(source["s3Location"]["uri"], caller)
        if not body or len(body) > families.NOVA_1.maximum_image_bytes:
            raise BedrockError("ValidationException", "The image is empty or larger than 10 MB.")
        real = _EXTENSION_OF.get(_opened(body).format or "")
        if real != blocks[0]["format"]:
            raise BedrockError("ValidationException", f"The image is {real}, not {blocks[0]['format']}.")
        return body

    def _fetch(self, uri: str, caller: str | None) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self._authorise(caller, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        s3 = self.s3()
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            raise BedrockError("ValidationException", f"The S3 object {uri} does not exist.") from None

    def _look(self, model: str, image: Image.Image, temperature: float, seed: int) -> list[str]:
        if model.startswith("arn:"):
            deployment = self._find(self.deployments, model, "modelDeploymentName")
            if deployment["status"] != "Active":
                raise BedrockError("ValidationException", f"{model} is not Active.")
            base = self.custom_models[deployment["modelArn"]]["_student"]
            student = self._load(base, self.models.load_student)
            return self._heads[deployment["modelArn"]].keywords(student.features(image))
        if model.startswith("local.student-") and model in families.MODELS:
            student = self._load(model, self.models.load_student)
            return student.base_keywords(student.features(image))
        if not model.startswith("local.teacher-"):
            raise BedrockError("ResourceNotFoundException", f"Model {model} not found.")
        teacher = self._load(model, self.models.load_teacher)
        if temperature > 0:
            return teacher.sampled_keywords(image, temperature, seed)
        return teacher.keywords(image)

    def _load(self, model: str, load: Callable[[str, Path], Any]) -> Any:
        with self._lock:
            if model not in self._loaded:
                self._loaded[model] = load(model, self.cache)
            return self._loaded[model]

    # Foundation models

    def GetFoundationModel(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Describe a model of the table."""
        model = values["modelIdentifier"].rsplit("/", 1)[-1]
        if not any(model in (known.id, known.training_id) for known in families.MODELS.values()):
            raise BedrockError("ResourceNotFoundException", f"Model {model} not found.")
        arn = f"arn:aws:bedrock:{REGION}::foundation-model/{model}"
        self._authorise(caller, "bedrock:GetFoundationModel", arn)
        lifecycle = {"status": "ACTIVE"}
        return {"modelDetails": {"modelArn": arn, "modelId": model, "modelLifecycle": lifecycle}}

    # Jobs

    def CreateModelCustomizationJob(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Start a job; its dataset is read and checked in the background, as the job's role."""
        base = values["baseModelIdentifier"].rsplit("/", 1)[-1]
        base_arn = f"arn:aws:bedrock:{REGION}::foundation-model/{base}"
        self._authorise(caller, "bedrock:CreateModelCustomizationJob", base_arn)
        self._authorise(caller, "iam:PassRole", values["roleArn"])
        student = next((m for m in families.MODELS.values() if m.training_id == base), None)
        if student is None or not student.id.startswith("local."):
            raise BedrockError("ValidationException", f"The model {base} does not support customization here.")
        if self.identity:
            try:
                self.identity.check_job_role(values["roleArn"])
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the role is the caller's fault
                raise BedrockError("ValidationException", str(error)) from None
        with self._lock:
            for job in self.jobs.values():
                if job["jobName"] == values["jobName"]:
                    if job["_token"] == values.get("clientRequestToken"):
                        return {"jobArn": job["jobArn"]}
                    raise BedrockError("ConflictException", f"The job name {values['jobName']} is in use.")
            id_ = uuid.uuid4().hex[:12]
            arn = f"{_PREFIX}:model-customization-job/{base}/{id_}"
            now = _now()
            running = {"status": "NotStarted", "creationTime": now, "lastModifiedTime": now}
            job = {
                "jobArn": arn,
                "jobName": values["jobName"],
                "outputModelName": values["customModelName"],
                "roleArn": values["roleArn"],
                "status": "InProgress",
                "statusDetails": {
                    name: dict(running) for name in ("validationDetails", "dataProcessingDetails", "trainingDetails")
                },
                "creationTime": now,
                "lastModifiedTime": now,
                "baseModelArn": base_arn,
                "customizationType": values.get("customizationType", "FINE_TUNING"),
                "hyperParameters": values.get("hyperParameters", {}),
                "trainingDataConfig": values["trainingDataConfig"],
                "validationDataConfig": values.get("validationDataConfig", {"validators": []}),
                "outputDataConfig": values["outputDataConfig"],
                "_id": id_,
                "_student": student.id,
                "_token": values.get("clientRequestToken"),
                "_model_tags": values.get("customModelTags", []),
            }
            self.jobs[arn] = job
            self.tags[arn] = values.get("jobTags", [])
        threading.Thread(target=self._run_job, args=(job,), daemon=True).start()
        return {"jobArn": arn}

    def GetModelCustomizationJob(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Describe a job."""
        self._authorise_any(caller, "bedrock:GetModelCustomizationJob", "model-customization-job")
        return _public(self._find(self.jobs, values["jobIdentifier"], "jobName"))

    def ListModelCustomizationJobs(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """List jobs."""
        self._authorise(caller, "bedrock:ListModelCustomizationJobs", "*")
        names = ("jobArn", "baseModelArn", "jobName", "status", "creationTime", "lastModifiedTime")
        found = _listed(self.jobs, values, "jobName", "status")
        return {"modelCustomizationJobSummaries": [{n: job[n] for n in names} for job in found]}

    def StopModelCustomizationJob(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Stop a job that has not ended."""
        self._authorise_any(caller, "bedrock:StopModelCustomizationJob", "model-customization-job")
        with self._lock:
            job = self._find(self.jobs, values["jobIdentifier"], "jobName")
            if job["status"] != "InProgress":
                raise BedrockError("ConflictException", f"The job is {job['status']}.")
            job.update(status="Stopped", endTime=_now())
        return {}

    def _run_job(self, job: dict[str, Any]) -> None:
        started = time.monotonic()
        try:
            images, answers = self._read_dataset(job)
            head = self._train(job, images, answers)
            time.sleep(max(0.0, self.faults.job_seconds - (time.monotonic() - started)))
            self._complete(job, head)
        except Exception as error:  # noqa: BLE001 - as at Bedrock, any failure ends up in the job
            with self._lock:
                if job["status"] == "InProgress":
                    job.update(status="Failed", failureMessage=str(error), endTime=_now())

    def _read_dataset(self, job: dict[str, Any]) -> tuple[list[Image.Image], list[list[str]]]:
        if self.faults.failing_jobs and self.faults.failing_jobs in job["jobName"]:
            raise BedrockError("InternalServerException", "Data files must conform to JSONL format.")
        uri = job["trainingDataConfig"]["s3Uri"]
        role = job["roleArn"] if self.identity else None
        lines = self._fetch(uri, role).splitlines(keepends=True)
        bucket = uri.removeprefix("s3://").partition("/")[0]
        validation = [
            line
            for validator in job["validationDataConfig"]["validators"]
            for line in self._fetch(validator["s3Uri"], role).splitlines(keepends=True)
        ]
        family = families.model(job["_student"]).family
        if found := problems(lines, family, bucket, validation):
            raise BedrockError("ValidationException", f"Unable to parse Amazon S3 file: {uri}. {found[0]}")
        self._advance(job, "validationDetails")
        images, answers = [], []
        for record in map(json.loads, lines):
            block = next(b["image"] for b in record["messages"][0]["content"] if "image" in b)
            images.append(_opened(self._fetch(block["source"]["s3Location"]["uri"], role)))
            answers.append(keywords(record["messages"][1]["content"][0]["text"]))
        self._advance(job, "dataProcessingDetails")
        return images, answers

    def _train(self, job: dict[str, Any], images: list[Image.Image], answers: list[list[str]]) -> Any:
        import numpy as np

        student = self._load(job["_student"], self.models.load_student)
        features = np.stack([student.features(image) for image in images])
        head = student.train(features, answers, int(job["hyperParameters"].get("epochCount", 2)), 0)
        self._advance(job, "trainingDetails")
        return head

    def _complete(self, job: dict[str, Any], head: Any) -> None:
        rows = "".join(f"{step},{epoch},{loss}\n" for step, epoch, loss in head.losses)
        uri = job["outputDataConfig"]["s3Uri"].rstrip("/")
        folder = f"{uri}/model-customization-job-{job['_id']}/training_artifacts"
        bucket, _, key = f"{folder}/step_wise_training_metrics.csv".removeprefix("s3://").partition("/")
        role = job["roleArn"] if self.identity else None
        self._authorise(role, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        body = f"step_number,epoch_number,training_loss\n{rows}".encode()
        self.s3().put_object(Bucket=bucket, Key=key, Body=body)
        with self._lock:
            if job["status"] != "InProgress":
                return  # Stopped meanwhile: no model comes of it.
            arn = f"{_PREFIX}:custom-model/{job['baseModelArn'].rsplit('/', 1)[-1]}/{job['_id']}"
            self._heads[arn] = head
            self.custom_models[arn] = {
                "modelArn": arn,
                "modelName": job["outputModelName"],
                "modelStatus": "Active",
                "jobArn": job["jobArn"],
                "jobName": job["jobName"],
                "baseModelArn": job["baseModelArn"],
                "customizationType": job["customizationType"],
                "hyperParameters": job["hyperParameters"],
                "trainingDataConfig": job["trainingDataConfig"],
                "outputDataConfig": job["outputDataConfig"],
                "creationTime": _now(),
                "_student": job["_student"],
            }
            self.tags[arn] = job["_model_tags"]
            job.update(status="Completed", outputModelArn=arn, endTime=_now())
            job["trainingMetrics"] = {"trainingLoss": float(head.losses[-1][2])}

    def _advance(self, job: dict[str, Any], phase: str) -> None:
        with self._lock:
            job["statusDetails"][phase].update(status="Completed", lastModifiedTime=_now())

    # Models and deployments

    def GetCustomModel(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Describe a tuned model."""
        self._authorise_any(caller, "bedrock:GetCustomModel", "custom-model")
        return _public(self._find(self.custom_models, values["modelIdentifier"], "modelName"))

    def ListCustomModels(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """List tuned models."""
        self._authorise(caller, "bedrock:ListCustomModels", "*")
        names = ("modelArn", "modelName", "creationTime", "baseModelArn", "customizationType", "modelStatus")
        found = _listed(self.custom_models, values, "modelName", "modelStatus")
        rows = [{n: one[n] for n in names} | {"baseModelName": one["_student"]} for one in found]
        return {"modelSummaries": rows}

    def DeleteCustomModel(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Delete a model that is not deployed."""
        with self._lock:
            model = self._find(self.custom_models, values["modelIdentifier"], "modelName")
            self._authorise(caller, "bedrock:DeleteCustomModel", model["modelArn"])
            if any(one["modelArn"] == model["modelArn"] for one in self.deployments.values()):
                raise BedrockError("ConflictException", "The model is deployed.")
            del self.custom_models[model["modelArn"]]
        return {}

    def CreateCustomModelDeployment(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Deploy a model; at most two deployments are in progress at once."""
        with self._lock:
            model = self._find(self.custom_models, values["modelArn"], "modelName")
            self._authorise(caller, "bedrock:CreateCustomModelDeployment", model["modelArn"])
            for found in self.deployments.values():
                if found["modelDeploymentName"] == values["modelDeploymentName"]:
                    raise BedrockError("ConflictException", "The deployment name is in use.")
            creating = [one for one in self.deployments.values() if one["status"] == "Creating"]
            if len(creating) >= _DEPLOYMENTS_IN_PROGRESS:
                raise BedrockError("ServiceQuotaExceededException", "Two deployments are in progress.")
            arn = f"{_PREFIX}:custom-model-deployment/{uuid.uuid4().hex[:12]}"
            self.deployments[arn] = {
                "customModelDeploymentArn": arn,
                "modelDeploymentName": values["modelDeploymentName"],
                "modelArn": model["modelArn"],
                "createdAt": _now(),
                "status": "Creating",
            }
            self.tags[arn] = values.get("tags", [])
        return {"customModelDeploymentArn": arn}

    def GetCustomModelDeployment(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Describe a deployment; one that was Creating is Active from the next look on."""
        self._authorise_any(caller, "bedrock:GetCustomModelDeployment", "custom-model-deployment")
        with self._lock:
            identifier = values["customModelDeploymentIdentifier"]
            found = self._find(self.deployments, identifier, "modelDeploymentName")
            seen = dict(found)
            found["status"] = "Active"
            return seen

    def ListCustomModelDeployments(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """List deployments."""
        self._authorise(caller, "bedrock:ListCustomModelDeployments", "*")
        found = _listed(self.deployments, values, "modelDeploymentName", "status")
        names = ("customModelDeploymentArn", "modelArn", "createdAt", "status")
        rows = [{n: one[n] for n in names} | {"customModelDeploymentName": one["modelDeploymentName"]} for one in found]
        return {"modelDeploymentSummaries": rows}

    def DeleteCustomModelDeployment(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """Delete a deployment; its model stays."""
        with self._lock:
            identifier = values["customModelDeploymentIdentifier"]
            found = self._find(self.deployments, identifier, "modelDeploymentName")
            arn = found["customModelDeploymentArn"]
            self._authorise(caller, "bedrock:DeleteCustomModelDeployment", arn)
            del self.deployments[arn]
        return {}

    def ListTagsForResource(self, values: dict[str, Any], caller: str | None) -> dict[str, Any]:  # noqa: N802
        """List the tags of a job, model or deployment."""
        arn = values["resourceARN"]
        self._authorise(caller, "bedrock:ListTagsForResource", arn)
        if arn not in self.tags:
            raise BedrockError("ResourceNotFoundException", f"{arn} not found.")
        return {"tags": self.tags[arn]}

    # Shared

    def _find(self, among: dict[str, dict[str, Any]], identifier: str, name: str) -> dict[str, Any]:
        with self._lock:
            for arn, found in among.items():
                if identifier in (arn, found[name]):
                    return found
        raise BedrockError("ResourceNotFoundException", f"{identifier} not found.")

    def _authorise_any(self, caller: str | None, action: str, kind: str) -> None:
        """Check an action on a resource that the caller may have named instead of giving its ARN."""
        self._authorise(caller, action, f"{_PREFIX}:{kind}/any")

    def _authorise(self, caller: str | None, action: str, resource: str) -> None:
        if self.identity and not (caller and self.identity.allowed(caller, action, resource)):
            raise BedrockError(
                "AccessDeniedException",
                f"User: {caller} is not authorized to perform: {action} on resource: {resource} because no "
                f"identity-based policy allows the {action} action",
            )


def _opened(body: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(body), formats=("JPEG", "PNG", "GIF", "WEBP"))
        image.load()
    except (OSError, SyntaxError, ValueError):
        raise BedrockError("ValidationException", "The image cannot be read.") from None
    return image


def _cut(text: str, max_tokens: int) -> tuple[str, str]:
    limit = max_tokens * _CHARACTERS_PER_TOKEN
    return (text, "end_turn") if len(text) <= limit else (text[:limit], "max_tokens")


def _listed(among: dict[str, dict[str, Any]], values: dict[str, Any], name: str, status: str) -> list[dict[str, Any]]:
    return [
        found
        for found in list(among.values())
        if values.get("nameContains", "") in found[name] and values.get("statusEquals", found[status]) == found[status]
    ]


def _public(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if not name.startswith("_")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
