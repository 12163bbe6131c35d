"""State of the endpoint: jobs, models and deployments, and the functions that its operations share.

The operations are grouped by subject in the other modules. An operation takes the service, the request's parameters
and the caller's ARN, returns a response that fits botocore's service model, and raises BedrockError.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from distillation.dataset.image_checks import PILLOW_FORMATS
from distillation.models import catalog
from distillation.models.model import Model
from local.aws.account import ACCOUNT, REGION
from local.bedrock.faults import Faults
from local.bedrock.protocol import BedrockError
from local.bedrock.quotas import Quotas
from local.bedrock.vlm import Vlm
from local.models import load_student, load_teacher

ARN_PREFIX = f"arn:aws:bedrock:{REGION}:{ACCOUNT}"

_CACHED_IMAGES = 2000
"""Most images whose features are kept, at 10 kB each."""

Entry = dict[str, Any]
"""A job, model or deployment, described as its Get operation returns it."""
Tag = dict[str, str]


class RequestImage(NamedTuple):
    """An image of a request or a dataset."""

    body: bytes
    pixels: Image.Image


@dataclass
class Service:
    """The jobs, models and deployments of the endpoint.

    Tests seed it with ``add_job``, ``add_custom_model`` and ``add_deployment``, which the operations use as well.
    """

    s3: Callable[[], Any]
    """Function that returns the S3 client for datasets and images."""
    cache: Path
    """Folder of converted models."""
    identity: Any | None
    """Roles and permissions of callers, as ``local.aws.identity.CallerIdentity``; without it everything is allowed."""
    faults: Faults
    vlm: Vlm | None = None
    """Models of the user's own server that answer instead of small local ones; None without one."""
    jobs: dict[str, Entry] = field(default_factory=dict)
    """Jobs, keyed by ARN."""
    custom_models: dict[str, Entry] = field(default_factory=dict)
    """Tuned models, keyed by ARN."""
    deployments: dict[str, Entry] = field(default_factory=dict)
    """Deployments, keyed by ARN."""
    tags: dict[str, list[Tag]] = field(default_factory=dict)
    """Tags of jobs, models and deployments, keyed by ARN."""
    stop_signals: dict[str, threading.Event] = field(default_factory=dict)
    """Events that tell the worker of a job to stop, keyed by the job's ARN."""
    students: dict[str, Any] = field(default_factory=dict)
    """Trained students, keyed by the ARN of the tuned model."""
    deployment_tokens: dict[str, str | None] = field(default_factory=dict)
    """Client request tokens of the deployments, keyed by ARN."""
    profiles: dict[str, str] = field(default_factory=dict)
    """Model ids of the application inference profiles, keyed by ARN."""
    quotas: Quotas = field(default_factory=Quotas)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Every call of Converse: its kind (``CONVERSE``, ``PROBE`` or ``WITHOUT_IMAGE``), and the model id."""
    prompts: list[tuple[str, str, str]] = field(default_factory=list)
    """Every call of Converse: the model id, the system text and the user text, word for word."""
    tiers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of calls of Converse, also of failed ones, keyed by model id and service tier."""
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of answers about an image of a run, keyed by model id and the image's SHA-256."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _loaded: dict[str, Any] = field(default_factory=dict)
    _features: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Features of images, keyed by the student's id and the image's SHA-256."""

    def add_job(self, job: Entry, tags: Sequence[Tag] = ()) -> threading.Event:
        """Add a job; return the event that StopModelCustomizationJob and ``reset`` set."""
        with self.lock:
            self.jobs[job["jobArn"]] = job
            self.tags[job["jobArn"]] = list(tags)
            stop = self.stop_signals[job["jobArn"]] = threading.Event()
            return stop

    def add_custom_model(self, model: Entry, tags: Sequence[Tag] = (), student: Any = None) -> None:
        """Add a tuned model; without a trained ``student`` it can be deployed but not called."""
        with self.lock:
            self.custom_models[model["modelArn"]] = model
            self.tags[model["modelArn"]] = list(tags)
            self.students[model["modelArn"]] = student

    def add_deployment(self, deployment: Entry, tags: Sequence[Tag] = (), token: str | None = None) -> None:
        """Add a deployment; ``token`` is the client request token that makes its creation idempotent."""
        with self.lock:
            arn = deployment["customModelDeploymentArn"]
            self.deployments[arn] = deployment
            self.tags[arn] = list(tags)
            self.deployment_tokens[arn] = token

    def reset(self) -> None:
        """Stop running jobs and delete all jobs, models, deployments and counts."""
        with self.lock:
            for stop in self.stop_signals.values():
                stop.set()
            for entries in (self.jobs, self.custom_models, self.deployments, self.tags):
                entries.clear()
            for details in (self.stop_signals, self.students, self.deployment_tokens):
                details.clear()
            self.quotas = Quotas()
            self.calls.clear()
            self.tiers.clear()
            self.prompts.clear()
            self.answered.clear()

    def student(self, model: str) -> Any:
        """Return a local student; it is loaded once."""
        return self._load(model, lambda: load_student(model, self.cache))

    def features(self, model: str, image: RequestImage) -> Any:
        """Return a student's features of an image. The base and all tuned models of a student have the same."""
        key = model, hashlib.sha256(image.body).hexdigest()
        features = self._features.get(key)
        if features is None:
            features = self.student(model).features(image.pixels)
            if len(self._features) >= _CACHED_IMAGES:
                self._features.clear()
            self._features[key] = features
        return features

    def teacher(self, model: str) -> Any:
        """Return a local teacher; it is loaded once."""
        return self._load(model, lambda: load_teacher(model))

    def _load(self, model: str, load: Callable[[], Any]) -> Any:
        with self.lock:
            if model not in self._loaded:
                self._loaded[model] = load()
            return self._loaded[model]

    def find(self, entries: dict[str, Entry], identifier: str, name_member: str) -> Entry:
        """Return the entry whose ARN or name is ``identifier``; raise BedrockError if there is none."""
        with self.lock:
            for arn, entry in entries.items():
                if identifier in (arn, entry[name_member]):
                    return entry
        code, message = self.faults.absent
        raise BedrockError(code, message.format(identifier))

    def fetch(self, uri: str, caller: str | None) -> bytes:
        """Return the bytes of an S3 object with the caller's permissions; raise BedrockError."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.authorise(caller, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        s3 = self.s3()
        try:
            response = s3.get_object(Bucket=bucket, Key=key)
        except s3.exceptions.NoSuchKey:
            raise BedrockError("ValidationException", f"The S3 object {uri} does not exist.") from None
        if "SSEKMSKeyId" in response:
            self.authorise(caller, "kms:Decrypt", response["SSEKMSKeyId"], via="s3")
        return response["Body"].read()

    def store(self, uri: str, body: bytes, caller: str | None) -> None:
        """Write an S3 object with the caller's permissions; raise BedrockError."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.authorise(caller, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        s3 = self.s3()
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        if kms_key_arn := rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID"):
            self.authorise(caller, "kms:GenerateDataKey", kms_key_arn, via="s3")
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    def authorise_decryption(self, caller: str | None, model: Entry) -> None:
        """Raise BedrockError unless the caller may use the KMS key of a tuned model, if it has one."""
        if key := model.get("modelKmsKeyArn"):
            self.authorise(caller, "kms:Decrypt", key, via="bedrock")

    def authorise_any(self, caller: str | None, action: str, kind: str) -> None:
        """Check an action on any resource of a kind, because the caller may have given a name instead of an ARN."""
        self.authorise(caller, action, f"{ARN_PREFIX}:{kind}/any")

    def authorise(
        self, caller: str | None, action: str, resource: str, via: str | None = None, profile: str | None = None
    ) -> None:
        """Raise BedrockError unless the caller's role allows an action.

        ``via`` is the service that calls KMS, and ``profile`` the ARN of the profile through which a model is called.
        """
        if self.identity and not (caller and self.identity.allowed(caller, action, resource, via, profile)):
            raise BedrockError(
                "AccessDeniedException",
                f"User: {caller} is not authorized to perform: {action} on resource: {resource} because no "
                f"identity-based policy allows the {action} action",
            )


Operation = Callable[[Service, dict[str, Any], str | None], dict[str, Any]]
"""Operation of the endpoint: service, parameters and the caller's ARN to the response."""


def decode_image(body: bytes) -> RequestImage:
    """Decode an image; raise BedrockError if it cannot be decoded."""
    try:
        image = Image.open(io.BytesIO(body), formats=PILLOW_FORMATS)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BedrockError("ValidationException", "The image cannot be decoded.") from None
    return RequestImage(body, image)


def foundation_model_arn(id: str) -> str:
    """Return the ARN of a foundation model."""
    return f"arn:aws:bedrock:{REGION}::foundation-model/{id}"


def model_by_training_id(training_id: str) -> Model | None:
    """Return the model of the catalog whose id for customization is ``training_id``."""
    return next((model for model in catalog.models().values() if model.training_id == training_id), None)


def student_of(entry: Entry) -> Model:
    """Return the model of the catalog that a job tunes or that was tuned."""
    base = entry["baseModelArn"].rsplit("/", 1)[-1]
    model = model_by_training_id(base)
    if model is None:
        raise BedrockError("ResourceNotFoundException", f"The base model {base} is not in the catalog.")
    return model


def is_local(model: str) -> bool:
    """Return whether a model of the catalog runs on this machine; the endpoint never answers for another."""
    return model.startswith("local.")


def timestamp(time: datetime | None = None) -> str:
    """Return a time, by default the current one, as Bedrock writes it."""
    return (time or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
