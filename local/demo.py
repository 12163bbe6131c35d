"""``make demo``: the whole pipeline on one machine, with the sample photos or your own.

Start the AWS emulator and the local Bedrock endpoint, deploy with the CDK, and upload the photos and ``distill.json``.
Show the progress of the state machine and print a table. Write the report and ``summary.json`` to a folder of the run.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cli.console import CommandError, print_line, print_to_stderr, quantity
from cli.own_labels import check_own_labels_in, local_collection, own_files_in
from cli.progress import ExecutionObserver
from cli.requests import read_request, resolve_request, stage_defaults
from cli.upload import FolderContent, photos_in
from cli.watch import follow
from distillation.answers.own_labels import OWN_LABELS_FILES
from distillation.documents import EvaluationFigures, Report
from distillation.errors import InvalidRequest, excerpt
from distillation.models import catalog
from distillation.photos.files import skipped_line
from distillation.photos.listing import check_photo_count
from distillation.records import Quota, Run, size_of
from distillation.runs.execution_input import run_name_in
from local import BUILD, ROOT, models
from local.aws.account import REGION
from local.aws.history import states_entered
from local.bedrock import ConverseFaults, Faults, Vlm, vlm_from_environment
from local.bedrock.faults import equal_shares
from local.pipeline import LocalPipeline, local_pipeline

PROMPTS = {"keywords": "keywords", "class": "category", "fields": "listing", "caption": "alt_text"}
"""Names of the prompt files by answer format."""
COLLECTION = "photos/"
STAGE = "local"
POLL_SECONDS = 0.5
TOLERANCE = 0.5
"""Share of photos that may be set aside: high, so that the demo reports the problems of a folder and does not stop."""


def main(arguments: Sequence[str]) -> int:
    """Run the demo and return its exit code."""
    try:
        options = parse_arguments(arguments)
        pair = models.available_pair(BUILD / "models")
        vlm = vlm_from_environment(pair)
        if pair.reason:
            print_line(f"models: using the pixels-only models because {pair.reason}")
        return _run(check_inputs(options, pair), options, vlm)
    except argparse.ArgumentError as error:
        print_to_stderr(f"demo: {error.message}")
    except (CommandError, InvalidRequest) as error:
        print_to_stderr(f"demo: {error}")
    return 2


class Inputs(NamedTuple):
    """Options of a demo."""

    photos: FolderContent
    own_files: dict[str, Path]
    """Own labels and vocabulary, keyed by name."""
    request: dict[str, Any]
    """Fields of ``distill.json``."""
    run: Run
    """The run that the request makes."""


def check_inputs(options: argparse.Namespace, pair: models.ModelPair) -> Inputs:
    """Return the photos and the request of the run.

    Raises ``CommandError`` or ``InvalidRequest`` if the run cannot succeed with them.
    """
    try:
        photos = photos_in(options.photos)
        own_files = own_files_in(options.photos)
    except CommandError as error:
        raise CommandError(f"PHOTOS: {error}") from None
    request = make_request(options, pair, len(photos.photos))
    run = resolve_request(COLLECTION, request, STAGE, REGION, local_collection(COLLECTION, options.photos))
    if len(photos.photos) < run.request.min_images:
        raise CommandError(
            f"PHOTOS: {options.photos} has {len(photos.photos)} photos; training and testing need at least "
            f"{run.request.min_images}. Name a folder with more: make demo PHOTOS=dir"
        )
    check_photo_count(str(options.photos), len(photos.photos), stage_defaults(STAGE, REGION).max_photos)
    if own_files.keys() & set(OWN_LABELS_FILES):
        check_own_labels_in(options.photos, run, photos.photos)
    if options.rpm:
        request["quotas"] = run.request.model_dump(exclude_none=True)["quotas"] | {
            run.teacher.model: {"requests_per_minute": options.rpm}
        }
    if options.out:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=options.out).close()
        except OSError as error:
            raise CommandError(f"OUT={options.out} cannot be written: {error.strerror}. Name another folder.") from None
    return Inputs(photos, own_files, request, run)


def make_request(options: argparse.Namespace, pair: models.ModelPair, photos: int) -> dict[str, Any]:
    """Return the fields of ``distill.json``: the demo's, those of REQUEST, and FORMAT and TRAIN_SIZES, which win.

    Raises ``CommandError`` if REQUEST cannot be read or needs an earlier run.
    """
    try:
        fields = read_request(options.request, COLLECTION)
    except CommandError as error:
        raise CommandError(str(error).replace("--request ", "REQUEST=", 1)) from None
    if earlier := next((name for name in ("apply", "replace") if fields.get(name)), None):
        raise CommandError(
            f"REQUEST={options.request} has {earlier!r}, which names an earlier run, and the demo starts with none. "
            "Remove the field, or use an AWS emulator that stays up: make local"
        )
    request = {"teacher": pair.teacher_id, "student": pair.student_id, "tolerance": TOLERANCE} | fields
    if options.format:
        request["prompt"] = PROMPTS[options.format]
    if options.train_sizes or not {"train_sizes", "grow", "until"} & fields.keys():
        request["train_sizes"] = options.train_sizes or default_sizes(photos)
    return request


def default_sizes(photos: int) -> list[int]:
    """Return two training sizes that leave enough photos for the test set: 12 and 30 for 45 photos."""
    return [max(8, photos * 4 // 15), max(12, photos * 2 // 3)]


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line, where an empty value is the default; raise ArgumentError for an invalid value."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, exit_on_error=False)
    parser.add_argument("--photos", type=_photos_folder, default=ROOT / "samples" / "photos")
    parser.add_argument("--format", type=_format, default=None, help=", ".join(PROMPTS))
    parser.add_argument("--train-sizes", type=_train_sizes, default=None, metavar="12,30")
    parser.add_argument("--faults", type=_fault_rate, default=0.0, help="share of requests that fail at first")
    parser.add_argument("--rpm", type=_requests_per_minute, default=None, help="quota of the teacher")
    parser.add_argument("--request", type=_path, default=None, help="file with fields of distill.json")
    parser.add_argument("--out", type=_output_folder, default=None, help="folder of the report")
    return parser.parse_args(arguments)


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text.strip() else None


def _photos_folder(text: str) -> Path:
    if (folder := _path(text)) is None:
        raise argparse.ArgumentTypeError("PHOTOS is empty. Name a folder, or leave it out for the sample photos")
    return folder


def _format(text: str) -> str | None:
    if text and text not in PROMPTS:
        raise argparse.ArgumentTypeError(f"FORMAT must be one of {', '.join(PROMPTS)} (got {excerpt(text)!r})")
    return text or None


def _train_sizes(text: str) -> list[int] | None:
    try:
        sizes = [int(size) for size in text.split(",") if size.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"TRAIN_SIZES must be like 12,30 (got {excerpt(text)!r})") from None
    return sizes or None


def _fault_rate(text: str) -> float:
    try:
        rate = float(text or 0)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < 1:
        raise argparse.ArgumentTypeError(f"FAULTS must be a share from 0 to below 1, like 0.2 (got {excerpt(text)!r})")
    return rate


def _requests_per_minute(text: str) -> int | None:
    if text and (not text.isdecimal() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"RPM must be a whole number of at least 1, like 60 (got {excerpt(text)!r})")
    return int(text) if text else None


def _output_folder(text: str) -> Path | None:
    """Return a path that the demo may write to: it is absent, an empty folder, or the output of an earlier demo."""
    if (out := _path(text)) is None:
        return None
    if out.name == "latest" and out.parent.resolve() == (BUILD / "demo").resolve():
        raise argparse.ArgumentTypeError(f"{out} is the link to the last run's folder; name another folder")
    if out.exists() and not (out.is_dir() and ((out / "summary.json").is_file() or not any(out.iterdir()))):
        raise argparse.ArgumentTypeError(f"{out} has files that the demo did not write; name another folder")
    return out


def _run(inputs: Inputs, options: argparse.Namespace, vlm: Vlm | None) -> int:
    start, photos = time.monotonic(), inputs.photos
    print_line("starting the AWS emulator and the local Bedrock endpoint, deploying with the CDK")
    quotas = {inputs.run.teacher.model: Quota(requests_per_minute=options.rpm)} if options.rpm else {}
    faults = Faults(converse=ConverseFaults(shares=equal_shares(options.faults), quotas=quotas))
    with local_pipeline(faults=faults, vlm=vlm) as pipeline:
        print_line(f"uploading {len(photos.photos)} photos and distill.json")
        if photos.skipped:
            print_line(skipped_line(Counter(photos.skipped)))
        pipeline.upload(photos.photos | inputs.own_files, COLLECTION)
        pipeline.start_run(COLLECTION, inputs.request)
        run, execution = _watch(pipeline)
        files = _report_files(pipeline, run)
        summary = _summary(pipeline, execution, inputs.run, files)
    summary["seconds"] = round(time.monotonic() - start, 1)
    folder = save(summary, files, run, options.out)
    return print_result(summary, folder)


def _watch(pipeline: LocalPipeline) -> tuple[str, str]:
    """Show the progress of the run as ``distill watch`` does until it ends; return its name and execution ARN."""
    while not (executions := pipeline.executions()):
        time.sleep(POLL_SECONDS)
    execution = executions[-1]
    run = run_name_in(pipeline.describe(execution)["input"], execution) or ""
    observer = ExecutionObserver(run, execution, pipeline.aws.client("stepfunctions"), pipeline.data)
    follow(observer.progress, POLL_SECONDS)
    return run, execution


def _report_files(pipeline: LocalPipeline, run: str) -> dict[str, bytes]:
    """Return the files of the run's report by name; empty if it has none."""
    return {Path(key).name: pipeline.data.read(key) for key in pipeline.data.keys(f"runs/{run}/report/")}


def _summary(pipeline: LocalPipeline, execution: str, run: Run, files: dict[str, bytes]) -> dict[str, Any]:
    """Return the content of summary.json."""
    description = pipeline.describe(execution)
    report = Report.model_validate_json(files["report.json"]) if "report.json" in files else None
    fields = ("photos", "images", "train", "test", "verdict")
    figures = report.evaluation if report else None
    entries = report.ledger.entries if report else []
    agreement = agreement_of(figures) if figures else None
    return {
        "execution_status": description["status"],
        "error": description.get("error"),
        "cause": description.get("cause"),
        **{field: getattr(report, field, None) for field in fields},
        "rejected": [item.model_dump() for item in report.photos_set_aside] if report else [],
        "teacher_calls": sum(entry.calls for entry in entries if entry.model == run.teacher.model),
        "format": figures.format if figures else None,
        "metric": figures.similarity if figures else None,
        "agreement": agreement,
        **({"jaccard": agreement} if figures and figures.format == "keywords" else {}),
        "states": states_entered(pipeline.aws, execution),
        "models": {
            "teacher": catalog.served_name(run.teacher.model) or run.teacher.model,
            "base": catalog.served_name(run.student) or run.student,
            "tuned": run.student,
        },
    }


def save(summary: dict[str, Any], files: dict[str, bytes], run: str, out: Path | None) -> Path:
    """Write the files of a run and return their folder; ``build/demo/latest`` links to that of the last finished run.

    A run that failed writes to its own folder, also with ``out``, so that it does not replace a report.
    """
    runs, finished = BUILD / "demo", summary["execution_status"] == "SUCCEEDED"
    folder = out.resolve() if out and finished else runs / run
    for parent in (folder, runs):
        parent.mkdir(parents=True, exist_ok=True)
    summary["report"] = str(folder / "report.html") if "report.html" in files else None
    text = json.dumps(summary, indent=1, ensure_ascii=False)
    for name, body in {**files, "summary.json": text.encode()}.items():
        (folder / name).write_bytes(body)
    if finished:
        new = runs / f".{run}"
        new.symlink_to(folder.relative_to(runs) if folder.is_relative_to(runs) else folder)
        new.replace(runs / "latest")
    return folder


def agreement_of(figures: EvaluationFigures) -> dict[str, Any]:
    """Return the scores as JSON values, those of tuned models by training size, and the best one's paired gains."""
    scores = figures.agreement.model_dump(mode="json")
    tuned = {str(size_of(name)): score for name, score in scores["tuned"].items()}
    gate = figures.gate.model_dump(mode="json") if figures.gate else {}
    gains = {"gain_over_base": gate.get("gain"), "gain_over_control": gate.get("over_control")}
    return scores | {"tuned": tuned} | gains


def print_result(summary: dict[str, Any], folder: Path) -> int:
    """Print the outcome, except the cause of a failure, which ``follow`` has printed. Return the exit code."""
    if summary["execution_status"] != "SUCCEEDED":
        print_line(f"summary: {folder / 'summary.json'}")
        return 1
    print_line("")
    if summary["agreement"]:
        print_line(f"  {summary['metric']}")
    for name, value in _result_rows(summary["agreement"] or {}):
        low, high = value["ci95"]
        print_line(f"  {name:<14}{value['mean']:.3f}   {low:.3f} to {high:.3f}")
    if summary["verdict"]:
        print_line(f"\n{summary['verdict']}")
    if summary["rejected"]:
        print_line(f"{quantity(len(summary['rejected']), 'photo')} set aside; the report lists the reasons.")
    print_line("Models: " + ", ".join(f"{role} {name}" for role, name in summary["models"].items()))
    print_line("No answer comes from Nova; the figures say nothing about Nova.")
    print_line(f"{summary['seconds']} s. Report: {summary['report'] or 'none'}. Files: {folder}")
    return 0


def _result_rows(agreement: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    tuned = [(f"tuned on {size}", value) for size, value in agreement.get("tuned", {}).items()]
    rows = [*((name, agreement.get(name)) for name in ("floor", "base", "control")), *tuned]
    return [(name, value) for name, value in (*rows, ("ceiling", agreement.get("ceiling"))) if value]
