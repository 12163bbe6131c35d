"""Requests: read ``distill.json`` from a file or a manifest and check it as Prepare will."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.console import CommandError
from cli.stage import check_run_name, stage_settings
from distillation import keys
from distillation.errors import excerpt
from distillation.evaluation.manifest import repeated_request
from distillation.records import Run
from distillation.runs.execution_input import StartedRequest
from distillation.runs.request import Defaults, resolve
from distillation.storage import Bucket

MAXIMUM_COLLECTION_BYTES = 512
"""Largest size of a collection's name in bytes; S3 allows 1,024 for a whole key."""
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NO_ACCOUNT = "000000000000"


def read_request(path: Path | None, collection: str | None) -> dict[str, Any]:
    """Return the fields of a request file, without ``collection``; empty if ``path`` is None.

    Raises ``CommandError`` if the file cannot be read or names another collection than ``collection``.
    """
    if path is None:
        return {}
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(
            f"--request {path} cannot be read: {error}. Give a file with a JSON object, such as {{}}."
        ) from None
    if not isinstance(fields, dict):
        raise CommandError(f"--request {path} does not contain a JSON object. Write at least {{}}.")
    file_collection = fields.pop("collection", None)
    if collection and file_collection not in (None, collection):
        raise CommandError(
            f"--request {path} has collection {excerpt(repr(file_collection))}, but the command has {collection!r}. "
            "Remove the field from the file."
        )
    return fields


def option_fields(options: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a request that the command line sets.

    ``options`` are fields by name; None means that the option was not given. An assignment is ``FIELD=VALUE``, where
    the value is JSON, or a text that is no JSON. Raises ``CommandError`` if one is malformed or a field is set twice.
    """
    fields = {name: value for name, value in options.items() if value is not None}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not (name and equals):
            raise CommandError(f"--set {excerpt(assignment)!r}: write FIELD=VALUE, such as temperature=0.5.")
        if name == "collection":
            raise CommandError("--set collection: the command already names the collection. Leave --set out.")
        if name in fields:
            raise CommandError(f"--set {excerpt(assignment)!r}: field {name!r} is set twice. Leave one of the two out.")
        try:
            fields[name] = json.loads(text)
        except (ValueError, RecursionError):
            fields[name] = text
    return fields


def parse_sizes(text: str | None) -> list[int] | None:
    """Return numbers that commas separate, such as ``12,30``; None for None. Raises ``CommandError``."""
    if text is None:
        return None
    try:
        return [int(size) for size in text.split(",")]
    except ValueError:
        raise CommandError(
            f"--train-sizes {excerpt(text)!r}: write numbers of training images separated by commas, such as 300,900."
        ) from None


def request_from_manifest(manifest: str, data: Callable[[], Bucket]) -> dict[str, Any]:
    """Return the request that repeats a run. ``manifest`` is the path of its manifest.json or the name of the run.

    Raises ``CommandError`` or ``InvalidRequest`` if there is no such manifest or it cannot be used.
    """
    path = Path(manifest).expanduser()
    if not path.is_file() and (path.suffix or len(path.parts) != 1):
        raise CommandError(f"--from-manifest {excerpt(manifest)}: no such file. Name a manifest.json, or a run.")
    if path.is_file():
        body, source = path.read_bytes(), str(path)
    else:
        key = keys.manifest_key(check_run_name(manifest))
        body, source = data().get_or_none(key), f"the manifest of run {manifest!r}"
    if body is None:
        raise CommandError(
            f"{manifest!r} is neither a file nor a run with a manifest. List the runs with: distill runs"
        )
    try:
        return repeated_request(json.loads(body), source)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{source} is not valid JSON: {error}. Use the manifest.json that the run wrote.") from None


def resolve_request(
    collection: str, fields: dict[str, Any], stage: str, region: str, photos: Bucket | None = None
) -> Run:
    """Return the run that Prepare would create from a request in a stage.

    ``photos`` has the vocabulary of the collection; AWS is not called without it.

    Raises ``InvalidRequest`` if Prepare would reject the request, or ``CommandError`` if the stage is not in cdk.json.
    """
    defaults = stage_defaults(stage, region)
    return resolve(StartedRequest(collection, fields), "estimate", photos, defaults, "the request")


def stage_defaults(stage: str, region: str) -> Defaults:
    """Return the models, settings and limits of a stage. Raises ``CommandError`` if it is not in cdk.json."""
    settings = stage_settings(stage)
    fields = {name: settings[name] for name in Defaults.model_fields if name in settings}
    return Defaults(**{**fields, "account": _NO_ACCOUNT, "region": region, "stage": stage})


def collection_prefix(text: str) -> str:
    """Return the prefix of a collection, which ends in a slash. Raises ``CommandError`` if the name is not valid."""
    parts = text.removesuffix("/").split("/")
    if _CONTROL.search(text) or {"", ".", ".."} & set(parts) or len(text.encode()) > MAXIMUM_COLLECTION_BYTES:
        raise CommandError(
            f"{excerpt(text)!r} is not a collection. Name a prefix in the Photos bucket of at most "
            f"{MAXIMUM_COLLECTION_BYTES} bytes, such as holiday/."
        )
    return "/".join(parts) + "/"
