"""``make demo``: the main job on one machine, with the sample photos or one's own.

Synthesises the app, starts the embedded AWS and the local Bedrock endpoint, deploys the templates,
uploads the photos and ``distill.json``, shows how the state machine gets on, and ends with a table, the
report and ``summary.json``.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.console import Refused
from cli.progress import Observer
from cli.upload import own_labels_in, photos_in
from cli.watch import follow
from distillation.records import Quota
from distillation.runs.request import run_name_of
from local import models
from local.aws.history import states_entered, status
from local.bedrock import ConverseFaults, Faults
from local.bedrock.faults import evenly
from local.pipeline import LocalPipeline, local_pipeline

ROOT = Path(__file__).parents[1]
COLLECTION = "photos/"
MINIMUM_PHOTOS = 20
BUILD = ROOT / "build"
POLL_SECONDS = 0.5
# The demo shows what is wrong with a folder rather than stopping at it.
TOLERANCE = 0.5


def main() -> int:
    """Run the demo; returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        arguments = arguments_of(sys.argv[1:])
    except argparse.ArgumentError as error:
        _say(f"demo: {error}")
        return 2
    try:
        photos = find_photos(arguments.photos)
        sizes = arguments.train_sizes or default_sizes(len(photos))
    except Refused as refusal:
        _say(f"demo: PHOTOS: {refusal}")
        return 2
    try:
        return _run(photos, sizes, arguments)
    except KeyboardInterrupt:
        _say("\ndemo: interrupted; everything that was started is stopped")
        return 130


def find_photos(folder: Path) -> dict[str, Path]:
    """Return the photos of a folder, any nesting, by their names below it; raises ``Refused``."""
    photos = photos_in(folder)
    if len(photos) < MINIMUM_PHOTOS:
        raise Refused(
            f"{folder} holds {len(photos)} photos; at least {MINIMUM_PHOTOS} are needed to train and "
            "to test. Name a folder with more: make demo PHOTOS=dir"
        )
    return photos


def default_sizes(photos: int) -> list[int]:
    """Return two nested training sizes that fit beside the test set: 12 and 30 for 45 photos."""
    return [max(8, photos * 4 // 15), max(12, photos * 2 // 3)]


def arguments_of(given: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; raises ``ArgumentError`` for a value that cannot be taken."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, exit_on_error=False)
    parser.add_argument("--photos", type=lambda text: Path(text).expanduser(), default=ROOT / "samples" / "photos")
    parser.add_argument("--train-sizes", type=_sizes, default=None, metavar="12,30")
    parser.add_argument("--faults", type=_share, default=0.0, help="share of questions that fail at first")
    parser.add_argument("--rpm", type=_per_minute, default=None, help="the teacher's quota, requests per minute")
    parser.add_argument("--out", type=_replaceable, default=BUILD / "demo")
    return parser.parse_args(given)


def _sizes(text: str) -> list[int] | None:
    try:
        sizes = [int(size) for size in text.split(",") if size.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"TRAIN_SIZES must be like 12,30 (got {text!r})") from None
    return sizes or None


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"FAULTS must be a share from 0 to below 1, like 0.2 (got {text!r})")
    return share


def _per_minute(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"RPM must be a whole number of at least 1, like 60 (got {text!r})")
    return int(text)


def _replaceable(text: str) -> Path:
    """Return a folder that a demo has made, or may: what else is in the way is not deleted."""
    out = Path(text).expanduser()
    if out.exists() and not (out.is_dir() and ((out / "summary.json").is_file() or not any(out.iterdir()))):
        raise argparse.ArgumentTypeError(f"{out} holds what no demo has written; name another folder")
    return out


def _run(photos: dict[str, Path], sizes: list[int], arguments: argparse.Namespace) -> int:
    start, out = time.monotonic(), arguments.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pair = models.available_pair(BUILD / "models")
    if pair.reason:
        _say(f"models: pixels only, because {pair.reason}")
    _say("synthesise the app")
    # In a process of its own, which takes the CDK's Node.js with it when it ends.
    subprocess.run([sys.executable, "-m", "local.synthesis", "local", str(BUILD / "cdk.out")], cwd=ROOT, check=True)
    _say("start the embedded AWS and the local Bedrock endpoint, deploy")
    quotas = {pair.teacher_id: Quota(requests_per_minute=arguments.rpm)} if arguments.rpm else {}
    faults = Faults(converse=ConverseFaults(shares=evenly(arguments.faults), quotas=quotas))
    with local_pipeline(BUILD / "cdk.out", BUILD / "work", BUILD / "models", faults=faults) as machine:
        _say(f"upload {len(photos)} photos and distill.json")
        machine.upload(photos | own_labels_in(arguments.photos), COLLECTION)
        request = {
            "teacher": pair.teacher_id,
            "student": pair.student_id,
            "train_sizes": sizes,
            "tolerance": TOLERANCE,
            "quotas": {model: quota.model_dump(exclude_none=True) for model, quota in quotas.items()},
        }
        machine.request(COLLECTION, request)
        execution = _watch(machine)
        summary = _summary(machine, execution, pair, out)
    summary["seconds"] = round(time.monotonic() - start, 1)
    (out / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), "utf-8")
    return _finish(summary, out)


def _watch(machine: LocalPipeline) -> str:
    """Show the run as ``distill watch`` does until it ends; return its execution."""
    while not (executions := machine.executions()):
        time.sleep(POLL_SECONDS)
    execution = executions[-1]
    run = run_name_of(json.loads(status(machine.aws, execution)["input"]), execution) or ""
    follow(Observer(run, execution, machine.aws.client("stepfunctions"), machine.data).look, POLL_SECONDS)
    return execution


def _summary(machine: LocalPipeline, execution: str, pair: models.ModelPair, out: Path) -> dict[str, Any]:
    """Copy the report here and return what summary.json holds."""
    ended = status(machine.aws, execution)
    reports = [key for key in machine.keys("runs/") if "/report/" in key]
    for key in reports:
        (out / Path(key).name).write_bytes(machine.read(key))
    report_file = out / "report.json"
    report = json.loads(report_file.read_text("utf-8")) if report_file.exists() else {}
    entries = report.get("ledger", {}).get("entries", [])
    return {
        "execution_status": ended["status"],
        "error": ended.get("error"),
        "cause": ended.get("cause"),
        "photos": report.get("photos"),
        "images": report.get("images"),
        "rejected": report.get("rejected", []),
        "train": report.get("train"),
        "test": report.get("test"),
        "teacher_calls": int(sum(entry["calls"] for entry in entries if entry["model"] == pair.teacher_id)),
        "jaccard": report.get("jaccard"),
        "verdict": report.get("verdict"),
        "states": states_entered(machine.aws, execution),
        "report": str(out / "report.html") if report else None,
        "models": {"teacher": pair.teacher_id, "student": pair.student_id},
    }


def _finish(summary: dict[str, Any], out: Path) -> int:
    if summary["execution_status"] != "SUCCEEDED" or not summary["report"]:
        _say(f"\n{summary['execution_status']}: {summary['error']}: {summary['cause']}")
        _say(f"summary: {out / 'summary.json'}")
        return 1
    _say("")
    for name, value in _table(summary["jaccard"]):
        low, high = value["ci95"]
        _say(f"  {name:<14}{value['mean']:.3f}   {low:.3f} to {high:.3f}")
    _say(f"\n{summary['verdict']}")
    if summary["rejected"]:
        _say(f"{len(summary['rejected'])} photos were set aside; the report says why.")
    _say("Small local models answered, not Nova: the figures say nothing about Nova.")
    _say(f"{summary['seconds']} s. Report: {summary['report']}")
    return 0


def _table(jaccard: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    tuned = [(f"tuned on {size}", value) for size, value in jaccard["tuned"].items()]
    names = ("floor", "base", "control")
    return [*((name, jaccard[name]) for name in names), *tuned, ("ceiling", jaccard["ceiling"])]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
