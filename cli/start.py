"""``distill start COLLECTION``: put ``distill.json`` into a collection, which starts a run."""

from __future__ import annotations

import json
from pathlib import Path

from cli.console import Refused, print_json, say
from cli.requests import checked_collection, read_request, request_from_manifest, resolved
from cli.stage import Stage
from distillation import keys
from distillation.photos.files import is_ignored


def start_run(collection: str, request: Path | None, manifest: str | None, stage: Stage, as_json: bool) -> str:
    """Check a request as Prepare will, put it, and return the name of the run; raises ``Refused``, ``InvalidRequest``.

    With ``manifest`` an earlier run is repeated; fields of ``request`` take the place of its own.
    """
    prefix = checked_collection(collection)
    repeated = request_from_manifest(manifest, lambda: stage.data) if manifest else {}
    fields = repeated | read_request(request, prefix)
    resolved(prefix, fields, stage.name, stage.region)
    photos = stage.photos
    if all(is_ignored(key) for key in photos.keys(prefix)):
        raise Refused(f"s3://{photos.name}/{prefix} holds no photo; upload some: distill upload FOLDER {prefix}")
    key = f"{prefix}{keys.REQUEST_FILE}"
    put = photos.client.put_object(Bucket=photos.name, Key=key, Body=json.dumps(fields, indent=1).encode())
    run = keys.run_name(prefix, put.get("VersionId") or put["ETag"].strip('"'))
    if as_json:
        print_json({"run": run, "request": f"s3://{photos.name}/{key}"})
    else:
        say(f"{run}\nwatch it: distill watch {run} --stage {stage.name}")
    return run
