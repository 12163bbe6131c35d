"""What the endpoint knows: jobs, models and deployments, and what its operations share.

The operations are in files of their own by subject: each takes the service, the request's parameters and the
caller, answers as botocore's service model says, and raises ``BedrockError``.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from distillation.dataset.media import OPENED_AS
from local.bedrock.faults import Faults
from local.bedrock.protocol import BedrockError
from local.bedrock.quotas import Quotas

ACCOUNT = "000000000000"
REGION = "us-east-1"
ARN_PREFIX = f"arn:aws:bedrock:{REGION}:{ACCOUNT}"

Entry = dict[str, Any]
"""A job, model or deployment; members that begin with ``_`` are not shown to callers."""
Tag = dict[str, str]


@dataclass
class Service:
    """The state behind the endpoint."""

    s3: Callable[[], Any]
    cache: Path
    models: Any
    identity: Any | None
    faults: Faults
    jobs: dict[str, Entry] = field(default_factory=dict)
    custom_models: dict[str, Entry] = field(default_factory=dict)
    deployments: dict[str, Entry] = field(default_factory=dict)
    tags: dict[str, list[Tag]] = field(default_factory=dict)
    quotas: Quotas = field(default_factory=Quotas)
    calls: list[tuple[str, str]] = field(default_factory=list)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    heads: dict[str, Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _loaded: dict[str, Any] = field(default_factory=dict)

    def forget(self) -> None:
        """Stop what still runs, and be as new."""
        with self.lock:
            for job in self.jobs.values():
                job["_stop"].set()
            for forgotten in (self.jobs, self.custom_models, self.deployments, self.tags, self.heads):
                forgotten.clear()
            self.quotas = Quotas()
            self.calls.clear()
            self.asked.clear()

    def student(self, model: str) -> Any:
        """Return a local student, loaded once."""
        return self._load(model, self.models.load_student)

    def teacher(self, model: str) -> Any:
        """Return a local teacher, loaded once."""
        return self._load(model, self.models.load_teacher)

    def _load(self, model: str, load: Callable[[str, Path], Any]) -> Any:
        with self.lock:
            if model not in self._loaded:
                self._loaded[model] = load(model, self.cache)
            return self._loaded[model]

    def find(self, among: dict[str, Entry], identifier: str, name: str) -> Entry:
        """Return the entry with this ARN, or with this text in its member ``name``."""
        with self.lock:
            for arn, found in among.items():
                if identifier in (arn, found[name]):
                    return found
        raise BedrockError("ResourceNotFoundException", f"{identifier} not found.")

    def fetch(self, uri: str, caller: str | None) -> bytes:
        """Read an object of S3 as the caller may."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.authorise(caller, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        s3 = self.s3()
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            raise BedrockError("ValidationException", f"The S3 object {uri} does not exist.") from None

    def authorise_any(self, caller: str | None, action: str, kind: str) -> None:
        """Check an action on a resource that the caller may have named instead of giving its ARN."""
        self.authorise(caller, action, f"{ARN_PREFIX}:{kind}/any")

    def authorise(self, caller: str | None, action: str, resource: str) -> None:
        """Check that the caller's role allows an action; raises ``BedrockError``."""
        if self.identity and not (caller and self.identity.allowed(caller, action, resource)):
            raise BedrockError(
                "AccessDeniedException",
                f"User: {caller} is not authorized to perform: {action} on resource: {resource} because no "
                f"identity-based policy allows the {action} action",
            )


Operation = Callable[[Service, dict[str, Any], str | None], dict[str, Any]]
"""Carries out an operation for a caller: its parameters in, its answer out."""


def opened(body: bytes) -> Image.Image:
    """Decode an image; raises ``BedrockError``."""
    try:
        image = Image.open(io.BytesIO(body), formats=OPENED_AS)
        image.load()
    except (OSError, SyntaxError, ValueError):
        raise BedrockError("ValidationException", "The image cannot be read.") from None
    return image


def foundation_model(id: str) -> str:
    """Return the ARN of a foundation model."""
    return f"arn:aws:bedrock:{REGION}::foundation-model/{id}"


def is_local(model: str) -> bool:
    """Tell whether a model of the table is one of this machine: the others are never answered for."""
    return model.startswith("local.")


def public(found: Entry) -> Entry:
    """Return what a caller may see of an entry."""
    return {name: value for name, value in found.items() if not name.startswith("_")}


def now(time: datetime | None = None) -> str:
    """Return the time, or another one, as Bedrock writes it."""
    return (time or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
