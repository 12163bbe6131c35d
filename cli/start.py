"""``distill start COLLECTION``: start a run by putting ``distill.json`` into the collection."""

from __future__ import annotations

import json
from pathlib import Path

from cli.console import CommandError, print_json, print_line
from cli.requests import collection_prefix, read_request, request_from_manifest, resolve_request
from cli.stage import Stage
from distillation import keys
from distillation.photos.files import is_ignored


def start_run(collection: str, request: Path | None, manifest: str | None, stage: Stage, *, as_json: bool) -> str:
    """Check a request as Prepare will, put it into the collection, and return the name of the run.

    With ``manifest`` the command repeats an earlier run; fields of ``request`` override those of the manifest.
    Raises ``CommandError`` or ``InvalidRequest``.
    """
    prefix = collection_prefix(collection)
    manifest_fields = request_from_manifest(manifest, lambda: stage.data) if manifest else {}
    fields = manifest_fields | read_request(request, prefix)
    resolve_request(prefix, fields, stage.name, stage.region)
    photos = stage.photos
    if all(is_ignored(key) for key in photos.keys(prefix)):
        raise CommandError(
            f"s3://{photos.name}/{prefix} contains no photos. Upload them with: distill upload FOLDER {prefix}"
        )
    key = f"{prefix}{keys.REQUEST_FILE}"
    put = photos.client.put_object(Bucket=photos.name, Key=key, Body=json.dumps(fields, indent=1).encode())
    run = keys.run_name(prefix, put.get("VersionId") or put["ETag"].strip('"'))
    if as_json:
        print_json({"run": run, "request": f"s3://{photos.name}/{key}"})
    else:
        print_line(f"{run}\nWatch the run with: distill watch {run} --stage {stage.name}")
    return run
