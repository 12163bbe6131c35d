"""Requests: read ``distill.json`` from a file or a manifest and check it as Prepare will."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.console import CommandError
from cli.stage import stage_settings
from distillation import keys
from distillation.evaluation.manifest import request_again
from distillation.records import Run
from distillation.runs.request import Defaults, resolve
from distillation.storage import Bucket

_NO_ACCOUNT = "000000000000"


def read_request(path: Path | None, collection: str | None) -> dict[str, Any]:
    """Return the fields of a request file, without ``collection``; empty if ``path`` is None.

    Raises ``CommandError`` if the file cannot be read or names another collection than ``collection``.
    """
    if path is None:
        return {}
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(
            f"--request {path} cannot be read: {error}. Give a file with a JSON object, such as {{}}."
        ) from None
    if not isinstance(fields, dict):
        raise CommandError(f"--request {path} does not contain a JSON object. Write at least {{}}.")
    file_collection = fields.pop("collection", None)
    if collection and file_collection not in (None, collection):
        raise CommandError(
            f"--request {path} has collection {file_collection!r}, but the command has {collection!r}. "
            "Remove the field from the file."
        )
    return fields


def request_from_manifest(manifest: str, data: Callable[[], Bucket]) -> dict[str, Any]:
    """Return the request that repeats a run. ``manifest`` is the path of its manifest.json or the name of the run.

    Raises ``CommandError`` or ``InvalidRequest`` if there is no such manifest or it cannot be used.
    """
    path = Path(manifest)
    if path.is_file():
        body, source = path.read_bytes(), str(path)
    else:
        body, source = data().get_or_none(keys.manifest_key(manifest)), f"the manifest of run {manifest!r}"
    if body is None:
        raise CommandError(
            f"{manifest!r} is neither a file nor a run with a manifest. List the runs with: distill runs"
        )
    try:
        return request_again(json.loads(body), source)
    except ValueError as error:
        raise CommandError(f"{source} is not valid JSON: {error}. Use the manifest.json that the run wrote.") from None


def resolve_request(
    collection: str, fields: dict[str, Any], stage: str, region: str, photos: Bucket | None = None
) -> Run:
    """Return the run that Prepare would create from a request in a stage.

    ``photos`` has the vocabulary of the collection; AWS is not called without it.

    Raises ``InvalidRequest`` if Prepare would reject the request, or ``CommandError`` if the stage is not in cdk.json.
    """
    defaults = stage_defaults(stage, region)
    return resolve({**fields, "collection": collection}, "estimate", photos, defaults)


def stage_defaults(stage: str, region: str) -> Defaults:
    """Return the models, settings and limits of a stage. Raises ``CommandError`` if it is not in cdk.json."""
    settings = stage_settings(stage)
    fields = {name: settings[name] for name in Defaults.model_fields if name in settings}
    return Defaults(**{**fields, "account": _NO_ACCOUNT, "region": region, "stage": stage})


def collection_prefix(text: str) -> str:
    """Return the prefix of a collection, which ends in a slash. Raises ``CommandError`` if the name is not valid."""
    collection = text.rstrip("/") + "/"
    if collection == "/" or text.startswith("/") or "//" in text:
        raise CommandError(f"{text!r} is not a collection. Name a prefix in the Photos bucket, such as holiday/.")
    return collection
