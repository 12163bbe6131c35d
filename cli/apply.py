"""``distill apply COLLECTION --run RUN``: apply a tuned model to a collection and download the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli import watch
from cli.console import print_json, print_line, print_to_stderr
from cli.progress import ExecutionObserver
from cli.requests import collection_prefix, resolve_request
from cli.sidecars import check_sidecar_folder, print_sidecars, write_run_sidecars
from cli.stage import Stage, check_out_folder, check_run_name, download
from cli.start import check_names, start_execution
from cli.watch import follow
from distillation import keys
from distillation.run_documents import read_report

TABLE_FORMATS = ("csv", "jsonl")


def apply_model(
    collection: str,
    run: str,
    options: dict[str, Any],
    out: Path | None,
    xmp: Path | None,
    stage: Stage,
    *,
    as_json: bool,
) -> bool:
    """Start a run that applies a tuned model, show it, and download its tables. Return whether it succeeded.

    ``run`` is the run of the tuned model. ``options`` are further fields of the request; None means the default. With
    ``xmp``, the folder of the photos, also write sidecars; the command fails if one cannot be written. Raises
    ``InvalidRequest`` or ``CommandError`` before anything starts.
    """
    prefix = collection_prefix(collection)
    if out:
        check_out_folder(out)
    if xmp:
        check_sidecar_folder(xmp)
    fields = {"apply": check_run_name(run), **{name: value for name, value in options.items() if value is not None}}
    resolve_request(prefix, fields, stage.name, stage.region)
    check_names(prefix, fields, stage)
    new_run, execution = start_execution(prefix, fields, stage)
    states = stage.client("stepfunctions")
    print_to_stderr(
        f"Started {new_run}. Ctrl-C does not stop it. Watch it with: distill watch {new_run} --stage {stage.name}"
    )
    observer = ExecutionObserver(new_run, execution, states, stage.data)
    if follow(observer.progress, watch.POLL_SECONDS, as_json=as_json).has_failed:
        return False
    report = read_report(new_run, stage.data)
    tables = [keys.results_key(new_run, extension) for extension in TABLE_FORMATS]
    paths = download(stage.data, tables, out or Path("build/results") / new_run)
    sidecars = write_run_sidecars(new_run, xmp, stage) if xmp else None
    if as_json:
        fields = report.model_dump(mode="json", include={"run", "verdict", "fallbacks", "audit"})
        facts = {"xmp": sidecars.as_json()} if sidecars else {}
        print_json({**fields, "files": [str(path) for path in paths], **facts}, indent=None)
    else:
        print_line("\n".join([report.verdict, *map(str, paths)]))
        if sidecars and xmp:
            print_sidecars(sidecars, xmp)
    return not (sidecars and sidecars.failed)
