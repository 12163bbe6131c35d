"""``distill start COLLECTION``: start a run by putting ``distill.json`` into the collection.

A request with ``apply`` or ``replace`` is passed to StartExecution instead: an uploaded one may not name a run of
another collection, but whoever may start executions may name any run of the stage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from cli.console import CommandError, NotReachable, print_json, print_line, print_to_stderr
from cli.requests import (
    collection_prefix,
    option_fields,
    read_request,
    request_from_manifest,
    resolve_request,
    stage_defaults,
)
from cli.stage import Stage, run_not_found
from distillation import keys
from distillation.aws_errors import code_and_message
from distillation.photos.files import skip_kind
from distillation.photos.listing import check_photo_count
from distillation.run_documents import find_run
from distillation.storage import Bucket


def start_run(
    collection: str,
    request: Path | None,
    manifest: str | None,
    stage: Stage,
    *,
    as_json: bool,
    options: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> str:
    """Check a request as Prepare will, put it into the collection, and return the name of the run.

    With ``manifest`` the command repeats an earlier run; fields of ``request`` override those of the manifest, and
    those of ``options`` and ``assignments`` (see ``option_fields``) override both. Standard output has the name of the
    run alone. Raises ``CommandError`` or ``InvalidRequest``.
    """
    prefix = collection_prefix(collection)
    written = read_request(request, prefix) | option_fields(options or {}, assignments)
    fields = (request_from_manifest(manifest, lambda: stage.data) if manifest else {}) | written
    resolve_request(prefix, fields, stage.name, stage.region)
    # The vocabulary of the collection is read once everything else is known to be valid.
    resolve_request(prefix, fields, stage.name, stage.region, stage.photos)
    check_names(prefix, fields, stage)
    if fields.get("apply") or fields.get("replace"):
        run, execution = start_execution(prefix, fields, stage)
        started_by = {"execution": execution}
    else:
        run, request_uri = _upload_request(prefix, fields, stage.photos)
        started_by = {"request": request_uri}
    if as_json:
        print_json({"run": run, **started_by})
    else:
        print_line(run)
        print_to_stderr(f"Watch the run with: distill watch {run} --stage {stage.name}")
    return run


def start_execution(prefix: str, fields: dict[str, Any], stage: Stage) -> tuple[str, str]:
    """Start an execution for a request about a collection; return the name of the run and the execution's ARN.

    Raises ``NotReachable`` if the caller may not start executions.
    """
    states, machine = stage.client("stepfunctions"), stage.state_machine
    try:
        request = json.dumps({"collection": prefix, **fields})
        execution = states.start_execution(stateMachineArn=machine, input=request)["executionArn"]
    except ClientError as error:
        code, message = code_and_message(error)
        if code != "AccessDeniedException":
            raise
        raise NotReachable(
            f"{message}. A request with apply or replace needs states:StartExecution on {machine}. Without it, put "
            f"{keys.REQUEST_FILE} into the collection: it may name runs of the same collection and shared_models."
        ) from None
    return keys.run_name(prefix, execution), execution


def check_names(prefix: str, fields: Mapping[str, Any], stage: Stage) -> None:
    """Check what a request names: its collection, and the run in ``apply`` or ``replace``.

    Raises ``CommandError`` or ``InvalidRequest`` if the collection has no photos or too many, or there is no such run.
    """
    count = sum(skip_kind(key) is None for key in stage.photos.keys(prefix))
    if count == 0:
        raise CommandError(
            f"s3://{stage.photos.name}/{prefix} contains no photos. Upload them with: distill upload FOLDER {prefix}"
        )
    check_photo_count(prefix, count, stage_defaults(stage.name, stage.region).max_photos)
    for name in filter(None, (fields.get("apply"), fields.get("replace"))):
        if find_run(name, stage.data) is None:
            raise run_not_found(name, stage.data)


def _upload_request(prefix: str, fields: dict[str, Any], photos: Bucket) -> tuple[str, str]:
    """Put ``distill.json``; return the name of the run and the URI of the object."""
    key = f"{prefix}{keys.REQUEST_FILE}"
    put = photos.client.put_object(Bucket=photos.name, Key=key, Body=json.dumps(fields, indent=1).encode())
    return keys.run_name(prefix, put.get("VersionId") or put["ETag"].strip('"')), f"s3://{photos.name}/{key}"
