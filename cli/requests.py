"""What a user asks for: ``distill.json`` read from a file, and checked as Prepare will check it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.console import Refused
from cli.stage import settings_of
from distillation import keys
from distillation.evaluation.manifest import request_again
from distillation.records import Run
from distillation.runs.request import Defaults, resolve
from distillation.storage import Bucket

_NO_ACCOUNT = "000000000000"


def read_request(path: Path | None, collection: str | None) -> dict[str, Any]:
    """Return the fields of a request, none without a file; raises ``Refused``.

    Its own ``collection`` is left out: it must be the one that was given, where one was.
    """
    if path is None:
        return {}
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"--request {path}: {error}; give a file with a JSON object, {{}} is enough") from None
    if not isinstance(fields, dict):
        raise Refused(f"--request {path} must hold a JSON object; {{}} is enough")
    named = fields.pop("collection", None)
    if collection and named not in (None, collection):
        raise Refused(f"--request {path}: its collection is {named!r}, but {collection!r} was given; leave it out")
    return fields


def request_from_manifest(manifest: str, data: Callable[[], Bucket]) -> dict[str, Any]:
    """Return the request that repeats a run, given as its manifest.json or by its name; raises ``InvalidRequest``."""
    path = Path(manifest)
    if path.is_file():
        body, source = path.read_bytes(), str(path)
    else:
        body, source = data().get_or_none(keys.manifest_key(manifest)), f"the manifest of run {manifest!r}"
    if body is None:
        raise Refused(f"{manifest!r} is neither a file nor a run that has ended; distill runs lists them")
    try:
        return request_again(json.loads(body), source)
    except ValueError as error:
        raise Refused(f"{source} is not JSON: {error}") from None


def resolved(collection: str, fields: dict[str, Any], stage: str, region: str) -> Run:
    """Make every choice of a request as a stage of cdk.json makes it, without AWS.

    Raises ``InvalidRequest`` for what Prepare would refuse, and ``Refused`` for a stage that is not in cdk.json.
    """
    settings = settings_of(stage)
    allowed = {name: settings[name] for name in Defaults.model_fields if name in settings}
    defaults = Defaults(**{**allowed, "account": _NO_ACCOUNT, "region": region})
    # A request with its collection beside it is read from nowhere.
    return resolve({**fields, "collection": collection}, "estimate", Bucket(None, ""), defaults)  # type: ignore[arg-type]


def checked_collection(text: str) -> str:
    """Return a collection's prefix, with the slash that it ends in; raises ``Refused``."""
    collection = text.rstrip("/") + "/"
    if collection == "/" or text.startswith("/") or "//" in text:
        raise Refused(f"{text!r} is no collection; name a prefix in the Photos bucket, such as holiday/")
    return collection
