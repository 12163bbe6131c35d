"""``make demo``: the whole pipeline on one machine, with the sample photos or your own.

Synthesise the app, start the AWS emulator and the local Bedrock endpoint, deploy the templates, upload the photos and
``distill.json``, show the progress of the state machine, and write a table, the report and ``summary.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.console import CommandError, print_line
from cli.own_labels import own_files_in
from cli.progress import ExecutionObserver
from cli.upload import FolderContent, photos_in
from cli.watch import follow
from distillation.documents import EvaluationFigures, Report
from distillation.models import catalog
from distillation.photos.files import skipped_text
from distillation.records import Quota, size_of
from distillation.runs.request import run_name_of
from local import models
from local.aws.history import states_entered
from local.bedrock import ConverseFaults, Faults, vlm_from_environment
from local.bedrock.faults import equal_shares
from local.pipeline import LocalPipeline, local_pipeline

PROMPTS = {"keywords": "keywords", "class": "category", "fields": "listing", "caption": "alt_text"}
"""Names of the prompt files by answer format."""
ROOT = Path(__file__).parents[1]
COLLECTION = "photos/"
MINIMUM_PHOTOS = 20
BUILD = ROOT / "build"
POLL_SECONDS = 0.5
TOLERANCE = 0.5
"""Share of photos that may be set aside: high, so that the demo reports the problems of a folder and does not stop."""


def main() -> int:
    """Run the demo and return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        arguments = parse_arguments(sys.argv[1:])
    except argparse.ArgumentError as error:
        print_line(f"demo: {error}")
        return 2
    try:
        found = find_photos(arguments.photos)
        sizes = arguments.train_sizes or default_sizes(len(found.photos))
    except CommandError as error:
        print_line(f"demo: PHOTOS: {error}")
        return 2
    try:
        return _run(found, sizes, arguments)
    except CommandError as error:
        print_line(f"demo: {error}")
        return 2
    except KeyboardInterrupt:
        print_line("\ndemo: interrupted; everything that it started has been stopped")
        return 130


def find_photos(folder: Path) -> FolderContent:
    """Return the content of a folder and its subfolders; raise CommandError if it has too few photos."""
    found = photos_in(folder)
    if len(found.photos) < MINIMUM_PHOTOS:
        raise CommandError(
            f"{folder} has {len(found.photos)} photos; training and testing need at least {MINIMUM_PHOTOS}. "
            "Name a folder with more: make demo PHOTOS=dir"
        )
    return found


def default_sizes(photos: int) -> list[int]:
    """Return two training sizes that leave enough photos for the test set: 12 and 30 for 45 photos."""
    return [max(8, photos * 4 // 15), max(12, photos * 2 // 3)]


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; raise ArgumentError for an invalid value."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, exit_on_error=False)
    parser.add_argument("--photos", type=lambda text: Path(text).expanduser(), default=ROOT / "samples" / "photos")
    parser.add_argument("--format", type=_format, default="keywords", help=", ".join(PROMPTS))
    parser.add_argument("--train-sizes", type=_train_sizes, default=None, metavar="12,30")
    parser.add_argument("--faults", type=_fault_rate, default=0.0, help="share of requests that fail at first")
    parser.add_argument("--rpm", type=_requests_per_minute, default=None, help="quota of the teacher")
    parser.add_argument("--out", type=_output_folder, default=BUILD / "demo")
    return parser.parse_args(arguments)


def _format(text: str) -> str:
    if text not in PROMPTS:
        raise argparse.ArgumentTypeError(f"FORMAT must be one of {', '.join(PROMPTS)} (got {text!r})")
    return text


def _train_sizes(text: str) -> list[int] | None:
    try:
        sizes = [int(size) for size in text.split(",") if size.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"TRAIN_SIZES must be like 12,30 (got {text!r})") from None
    return sizes or None


def _fault_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < 1:
        raise argparse.ArgumentTypeError(f"FAULTS must be a share from 0 to below 1, like 0.2 (got {text!r})")
    return rate


def _requests_per_minute(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"RPM must be a whole number of at least 1, like 60 (got {text!r})")
    return int(text)


def _output_folder(text: str) -> Path:
    """Return a path that the demo may replace: it is absent, an empty folder, or the output of an earlier demo."""
    out = Path(text).expanduser()
    if out.exists() and not (out.is_dir() and ((out / "summary.json").is_file() or not any(out.iterdir()))):
        raise argparse.ArgumentTypeError(f"{out} has files that the demo did not write; name another folder")
    return out


def _run(found: FolderContent, sizes: list[int], arguments: argparse.Namespace) -> int:
    start, out = time.monotonic(), arguments.out
    pair = models.available_pair(BUILD / "models")
    vlm = vlm_from_environment(pair)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if pair.reason:
        print_line(f"models: using the pixels-only models because {pair.reason}")
    print_line("synthesising the app")
    # In another process, so that the CDK's Node.js ends with it.
    subprocess.run([sys.executable, "-m", "local.synthesis", "local", str(BUILD / "cdk.out")], cwd=ROOT, check=True)
    print_line("starting the AWS emulator and the local Bedrock endpoint, deploying")
    quotas = {pair.teacher_id: Quota(requests_per_minute=arguments.rpm)} if arguments.rpm else {}
    faults = Faults(converse=ConverseFaults(shares=equal_shares(arguments.faults), quotas=quotas))
    with local_pipeline(BUILD / "cdk.out", BUILD / "work", BUILD / "models", faults=faults, vlm=vlm) as pipeline:
        print_line(f"uploading {len(found.photos)} photos and distill.json")
        if found.skipped:
            print_line(f"{len(found.skipped)} other files skipped: {skipped_text(Counter(found.skipped))}")
        pipeline.upload(found.photos | own_files_in(arguments.photos), COLLECTION)
        request = {
            "teacher": pair.teacher_id,
            "student": pair.student_id,
            "prompt": PROMPTS[arguments.format],
            "train_sizes": sizes,
            "tolerance": TOLERANCE,
            "quotas": {model: quota.model_dump(exclude_none=True) for model, quota in quotas.items()},
        }
        pipeline.start_run(COLLECTION, request)
        execution = _watch(pipeline)
        summary = _save_report(pipeline, execution, pair, out)
    summary["seconds"] = round(time.monotonic() - start, 1)
    (out / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), "utf-8")
    return _print_result(summary, out)


def _watch(pipeline: LocalPipeline) -> str:
    """Show the progress of the run as ``distill watch`` does until it ends; return the execution's ARN."""
    while not (executions := pipeline.executions()):
        time.sleep(POLL_SECONDS)
    execution = executions[-1]
    run = run_name_of(json.loads(pipeline.describe(execution)["input"]), execution) or ""
    observer = ExecutionObserver(run, execution, pipeline.aws.client("stepfunctions"), pipeline.data)
    follow(observer.progress, POLL_SECONDS)
    return execution


def _save_report(pipeline: LocalPipeline, execution: str, pair: models.ModelPair, out: Path) -> dict[str, Any]:
    """Copy the report's files to ``out`` and return the content of summary.json."""
    description = pipeline.describe(execution)
    for key in pipeline.data.keys("runs/"):
        if "/report/" in key:
            (out / Path(key).name).write_bytes(pipeline.data.read(key))
    report_file = out / "report.json"
    report = Report.model_validate_json(report_file.read_bytes()) if report_file.exists() else None
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
        "teacher_calls": sum(entry.calls for entry in entries if entry.model == pair.teacher_id),
        "format": figures.format if figures else None,
        "metric": figures.similarity if figures else None,
        "agreement": agreement,
        **({"jaccard": agreement} if figures and figures.format == "keywords" else {}),
        "states": states_entered(pipeline.aws, execution),
        "report": str(out / "report.html") if report else None,
        "models": {
            "teacher": catalog.served_name(pair.teacher_id) or pair.teacher_id,
            "base": catalog.served_name(pair.student_id) or pair.student_id,
            "tuned": pair.student_id,
        },
    }


def agreement_of(figures: EvaluationFigures) -> dict[str, Any]:
    """Return the scores as JSON values, those of tuned models by training size, and the best one's paired gains."""
    scores = figures.agreement.model_dump(mode="json")
    tuned = {str(size_of(name)): score for name, score in scores["tuned"].items()}
    gate = figures.gate.model_dump(mode="json") if figures.gate else {}
    gains = {"gain_over_base": gate.get("gain"), "gain_over_control": gate.get("over_control")}
    return scores | {"tuned": tuned} | gains


def _print_result(summary: dict[str, Any], out: Path) -> int:
    if summary["execution_status"] != "SUCCEEDED" or not summary["report"]:
        print_line(f"\n{summary['execution_status']}: {summary['error']}: {summary['cause']}")
        print_line(f"summary: {out / 'summary.json'}")
        return 1
    print_line("")
    print_line(f"  {summary['metric']}")
    for name, value in _result_rows(summary["agreement"]):
        low, high = value["ci95"]
        print_line(f"  {name:<14}{value['mean']:.3f}   {low:.3f} to {high:.3f}")
    print_line(f"\n{summary['verdict']}")
    if summary["rejected"]:
        print_line(f"{len(summary['rejected'])} photos were set aside; the report lists the reasons.")
    print_line("Models: " + ", ".join(f"{role} {name}" for role, name in summary["models"].items()))
    print_line("No answer comes from Nova; the figures say nothing about Nova.")
    print_line(f"{summary['seconds']} s. Report: {summary['report']}")
    return 0


def _result_rows(agreement: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    tuned = [(f"tuned on {size}", value) for size, value in agreement["tuned"].items()]
    names = ("floor", "base", "control")
    return [*((name, agreement[name]) for name in names), *tuned, ("ceiling", agreement["ceiling"])]


if __name__ == "__main__":
    sys.exit(main())
